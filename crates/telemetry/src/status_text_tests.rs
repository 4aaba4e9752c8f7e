//! The page of whole documents, word for word.

use super::*;

fn page(document: &str) -> String {
    status_page(&serde_json::from_str(document).unwrap())
}

#[test]
fn all_is_well_and_a_database_is_away_while_the_journal_is_full() {
    let pages = [page(include_str!("../testdata/well.json")), page(include_str!("../testdata/stalled.json"))];
    assert_eq!(pages, [include_str!("../testdata/well.txt"), include_str!("../testdata/stalled.txt")]);
}

#[test]
fn what_another_version_says_of_the_analysis_is_told_and_costs_nothing_else() {
    let mut status: Status = serde_json::from_str(include_str!("../testdata/well.json")).unwrap();
    status.analysis = serde_json::json!({"elapsed_ns": 1});
    let page = status_page(&status);
    assert!(page.starts_with("OK       recording 10/10 symbols"), "{page}");
    assert!(
        page.ends_with("the performance report is of another version of feedd: missing field `engine`\n"),
        "{page}"
    );
}
