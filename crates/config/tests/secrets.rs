//! Passwords: read from where the configuration says, refused in the configuration itself, shown nowhere.

use feedd_config::{Loaded, Machine, Overrides, Postgres, SecretError, SecretRef, check, load};
use proptest::prelude::*;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const CANARY: &str = "c4n4ry";
const MACHINE: Machine<'_> = Machine { cores: &[0], venues: &[] };

fn file_of(dir: &TempDir, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, text).expect("room for a small file");
    fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a file of our own");
    path
}

/// Everything that can be shown of a configuration, whether it is good or not.
fn shown(toml: &str, env: &[(&str, &str)], flags: &Overrides) -> String {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = file_of(&dir, "feedd.toml", toml, 0o600);
    let env = || env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let report = check(Some(&file), env(), flags, &MACHINE);
    let result = load(Some(&file), env(), flags, &MACHINE);
    let (debug, display) = match result {
        Ok(loaded) => (format!("{loaded:?}"), loaded.to_string()),
        Err(errors) => (format!("{errors:?} {errors:#?}"), errors.to_string()),
    };
    format!("{}\n{debug}\n{display}", report.text).replace(&format!("{}/", dir.path().display()), "")
}

fn set(set: &str) -> Overrides {
    Overrides { sets: vec![set.to_owned()], ..Overrides::default() }
}

fn loaded(toml: &str) -> Result<Loaded, String> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = file_of(&dir, "feedd.toml", toml, 0o600);
    load(Some(&file), std::iter::empty(), &Overrides::default(), &MACHINE)
        .map_err(|errors| errors.to_string().replace(&format!("{}/", dir.path().display()), ""))
}

fn of(password: SecretRef) -> Postgres {
    Postgres { password: Some(password), ..Postgres::default() }
}

#[test]
fn a_secret_is_read_from_a_file_a_variable_or_a_credential() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().display().to_string();
    let env = |name: &str| match name {
        "PGPASSWORD" => Some("of the variable\n".to_owned()),
        "CREDENTIALS_DIRECTORY" => Some(folder.clone()),
        _ => None,
    };
    file_of(&dir, "postgres", "of the credential", 0o440);
    let cases = [
        (SecretRef::File(file_of(&dir, "plain", "of the file", 0o600)), "of the file"),
        (SecretRef::File(file_of(&dir, "newline", "of the file\n", 0o400)), "of the file"),
        (SecretRef::File(file_of(&dir, "crlf", "of the file\r\n", 0o600)), "of the file"),
        (SecretRef::File(file_of(&dir, "one newline only", " a\nb \n\n", 0o600)), " a\nb \n"),
        (SecretRef::Variable("PGPASSWORD".into()), "of the variable"),
        (SecretRef::Credential("postgres".into()), "of the credential"),
    ];
    for (from, expected) in cases {
        let secret = of(from.clone()).secret(env).unwrap().unwrap();
        assert_eq!(secret.expose(), expected, "{from}");
        assert_eq!(
            (format!("{secret}"), format!("{secret:?}"), format!("{secret:#?}")),
            ("***".into(), "***".into(), "***".into())
        );
    }
    assert!(Postgres::default().secret(env).unwrap().is_none());
}

#[test]
fn a_secret_that_cannot_be_read_is_named_with_its_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().display().to_string();
    let env = |name: &str| match name {
        "EMPTY" => Some(String::new()),
        "CREDENTIALS_DIRECTORY" => Some(folder.clone()),
        _ => None,
    };
    let open = |mode| SecretRef::File(file_of(&dir, &format!("mode-{mode:o}"), CANARY, mode));
    let text = |from: &SecretRef| {
        let error = of(from.clone()).secret(env).unwrap_err();
        assert!(!format!("{error:?}").contains(CANARY));
        let cause = std::error::Error::source(&error).map(|cause| format!(" ({cause})")).unwrap_or_default();
        format!("{error}{cause}").replace(&format!("{folder}/"), "")
    };
    let cases = [
        (open(0o644), "mode-644 is open to other users (mode 0644); take their rights away: chmod 600"),
        (open(0o640), "mode-640 is open to other users (mode 0640); take their rights away: chmod 600"),
        (open(0o601), "mode-601 is open to other users (mode 0601); take their rights away: chmod 600"),
        (open(0o620), "mode-620 is open to other users (mode 0620); take their rights away: chmod 600"),
        (
            SecretRef::File(dir.path().join("none")),
            "cannot read none; name a file that holds the secret alone (No such file or directory (os error 2))",
        ),
        (
            SecretRef::File(dir.path().join(".")),
            "cannot read .; name a file that holds the secret alone (not a plain file)",
        ),
        (
            SecretRef::File(file_of(&dir, "long", &"x".repeat(70_000), 0o600)),
            "cannot read long; name a file that holds the secret alone (too long for a secret)",
        ),
        (SecretRef::File(file_of(&dir, "empty", "\n", 0o600)), "file empty is empty; write the secret into it"),
        (SecretRef::Variable("EMPTY".into()), "environment variable EMPTY is empty; write the secret into it"),
        (
            SecretRef::Variable("UNSET".into()),
            "environment variable UNSET is not set to a text; set it, or name another",
        ),
        (
            SecretRef::Credential("none".into()),
            "cannot read none; name a file that holds the secret alone (No such file or directory (os error 2))",
        ),
    ];
    for (from, expected) in cases {
        assert_eq!(text(&from), expected);
    }
    let error = of(SecretRef::Credential("key".into())).secret(|_| None).unwrap_err();
    assert!(matches!(&error, SecretError::NoCredentials { name } if name == "key"));
    assert_eq!(
        error.to_string(),
        "no credential \"key\": CREDENTIALS_DIRECTORY is not set; add LoadCredential=key:PATH to the service"
    );
}

#[test]
fn a_file_open_to_others_is_refused_when_loading() {
    let dir = tempfile::tempdir().unwrap();
    let toml = |mode, sink: &str| {
        let path = file_of(&dir, "key", CANARY, mode);
        format!("[sink]\nkind = \"{sink}\"\n[postgres]\npassword_file = \"{}\"", path.display())
    };
    let refused = loaded(&toml(0o644, "postgres")).unwrap_err().replace(&format!("{}/", dir.path().display()), "");
    let expected = "\
feedd.toml:4:17: postgres.password_file: key is open to other users (mode 0644); take their rights away: chmod 600
 4 | password_file = \"key\"";
    assert_eq!(refused.lines().take(2).collect::<Vec<_>>().join("\n"), expected);
    let good = loaded(&toml(0o600, "postgres")).unwrap();
    assert_eq!(good.config.postgres.secret(|_| None).unwrap().unwrap().expose(), CANARY);
    assert!(!format!("{good:?}{good}").contains(CANARY));
    // Without such a sink nobody reads the file.
    assert!(loaded(&toml(0o644, "null")).is_ok());
    let missing = loaded("[sink]\nkind = \"postgres\"\n[postgres]\npassword_file = \"no/such\"").unwrap_err();
    assert!(missing.starts_with(
        "feedd.toml:4:17: postgres.password_file: cannot read no/such; name a file that holds the secret alone \
         (No such file or directory (os error 2))\n"
    ));
}

#[test]
fn one_place_of_the_password_is_enough() {
    let refused = loaded("[postgres]\npassword_file = \"a\"\npassword_env = \"PGPASSWORD\"").unwrap_err();
    let expected = "\
feedd.toml:3:16: postgres.password_env: the password is given by postgres.password_file, too; keep one of them
 3 | password_env = \"PGPASSWORD\"
   |                ^^^^^^^^^^^^";
    assert_eq!(refused, expected);
}

const REFUSED: &str = "a password does not belong here; keep it out of the configuration: below [postgres] write \
                       password_file = \"PATH\", password_env = \"VARIABLE\" or password_credential = \"NAME\"";

#[test]
fn a_password_in_the_file_is_refused_and_not_shown() {
    let refused = format!("feedd.toml:2:1: postgres.password: {REFUSED}\n 2 | password = ***\n   | ^^^^^^^^");
    assert_eq!(loaded(&format!("[postgres]\npassword = \"{CANARY}\"")).unwrap_err(), refused);
    let refused = format!(
        "feedd.toml:1:14: postgres.password: {REFUSED}\n 1 | postgres = {{ password = ***\n   |              ^^^^^^^^\n\
         feedd.toml:1:42: postgres.port: 0 is out of range; give a whole number from 1 to 65535\n 1 | postgres = {{ \
         password = ***\n   |                         ^^^"
    );
    assert_eq!(loaded(&format!("postgres = {{ password = \"{CANARY}\", port = 0 }}")).unwrap_err(), refused);
    // The name of a variable is expected, and the password itself stands there.
    let refused = "\
feedd.toml:2:16: postgres.password_env: not a name of a variable; write the name of an environment variable, such as \"PGPASSWORD\", not the password itself
 2 | password_env = ***
   |                ^^^";
    assert_eq!(loaded(&format!("[postgres]\npassword_env = \"{CANARY}!\"")).unwrap_err(), refused);
    let refused = "\
feedd.toml:2:16: postgres.password_env: variables that begin with FEEDD_ are settings; choose another name, such as \"PGPASSWORD\"
 2 | password_env = \"FEEDD_KEY\"
   |                ^^^^^^^^^^^";
    assert_eq!(loaded("[postgres]\npassword_env = \"FEEDD_KEY\"").unwrap_err(), refused);
    let refused = "\
feedd.toml:2:1: postgres.passwrd_file: unknown key `passwrd_file`, did you mean `password_file`?
 2 | passwrd_file = ***
   | ^^^^^^^^^^^^";
    assert_eq!(loaded("[postgres]\npasswrd_file = \"/run/key\"").unwrap_err(), refused);
}

#[test]
fn what_only_sounds_like_a_password_is_accepted() {
    let toml = "[log]\nlevel = \"info,feedd_config::secret=debug\"\n[data]\ndir = \"/tmp/passwords/of users\"";
    let config = loaded(toml).unwrap().config;
    assert_eq!(config.log.level.targets[0].0, "feedd_config::secret");
    assert_eq!(config.data.dir, Path::new("/tmp/passwords/of users"));
}

#[test]
fn a_password_in_a_variable_or_a_flag_is_refused_and_not_shown() {
    let first = |env: &[(&str, &str)], flags: &Overrides| {
        let text = shown("", env, flags);
        assert!(!text.contains(CANARY), "{text}");
        text.lines().next().unwrap_or_default().to_owned()
    };
    let variable = first(&[("FEEDD_POSTGRES__PASSWORD", CANARY)], &Overrides::default());
    assert_eq!(variable, format!("environment variable FEEDD_POSTGRES__PASSWORD: postgres.password: {REFUSED}"));
    let flag = first(&[], &set(&format!("postgres.password={CANARY}")));
    assert_eq!(flag, format!("--set postgres.password=***: postgres.password: {REFUSED}"));
    let flag = first(&[], &set(&format!("postgres.password_credential=../{CANARY}")));
    assert_eq!(
        flag,
        "--set postgres.password_credential=***: postgres.password_credential: not a name of a credential; write its \
         name as in LoadCredential=NAME:PATH, not the password itself"
    );
}

#[test]
fn a_password_in_any_place_is_shown_nowhere() {
    let url = format!("postgres://feedd:{CANARY}@db/feedd");
    let files = [
        format!("password = \"{CANARY}\""),
        format!("[postgres]\nPassword = \"{CANARY}\""),
        format!("[postgres]\n\"password\" = '{CANARY}'"),
        format!("[postgres]\nsecret = \"{CANARY}\""),
        format!("postgres.password = \"{CANARY}\""),
        format!("[postgres]\npasswrod = \"{CANARY}\""),
        format!("[postgres]\npasswd = \"{CANARY}\"\npgpass = [\"{CANARY}\"]\npwd = {{ value = \"{CANARY}\" }}"),
        format!("[postgres.password]\nvalue = \"{CANARY}\""),
        format!("[postgres]\npassword = \"\"\"\n{CANARY}\"\"\"\nport = 0"),
        format!("postgres = {{ password = \"\"\"\n{CANARY}\"\"\", port = 0 }}"),
        format!("[[sink]]\nkind = \"postgres\"\npassword = \"{CANARY}\""),
        format!("[admin]\ntoken = \"{CANARY}\""),
        format!("[sink]\nkind = \"{url}\""),
        format!("[postgres]\nurl = \"{url}\""),
        format!("[postgres]\nhost = \"{url}\""),
        format!("[postgres]\nhost = \"feedd:{CANARY}@db\""),
        format!("[postgres]\ndatabase = \"host=db password={CANARY}\""),
        format!("[postgres]\npassword_env = \"{CANARY}!\""),
        format!("[postgres]\npassword_credential = \"/{CANARY}\""),
        format!("[log]\nlevel = [\"{url}\"]"),
        format!("[ring]\ncapacity = 0 # password {CANARY}"),
        // No TOML.
        format!("[postgres]\npassword = {CANARY}"),
        format!("[postgres]\npassword = \"{CANARY}"),
        format!("[postgres]\npassword {CANARY}"),
        format!("[postgres]\npassword: {CANARY}\n= 5"),
        format!("[postgres]\npassword = \"\"\"\n{CANARY}"),
        format!("[postgres]\npassword = \"a\"\npassword = \"{CANARY}\""),
        format!("[postgres]\nhost = {url}"),
    ];
    for file in files {
        let text = shown(&file, &[], &Overrides::default());
        assert!(text.contains("error"), "{file} is accepted: {text}");
        assert!(!text.contains(CANARY), "{file} is shown: {text}");
    }
    for name in ["PASSWORD", "POSTGRES_PASSWORD", "POSTGRES__PASSWORD", "POSTGRES__PASSWRD", "SINK__0__PASSWORD"] {
        let text = shown("", &[(&format!("FEEDD_{name}"), CANARY)], &Overrides::default());
        assert!(text.contains("error") && !text.contains(CANARY), "{name}: {text}");
    }
    let flags = [
        set(&format!("postgres.password={CANARY}")),
        set(&format!("postgres.password {CANARY}")),
        set(&format!("postgres.url={url}")),
        set(&format!("password={CANARY}")),
        set(&url),
        Overrides { sinks: vec![url.clone()], ..Overrides::default() },
        Overrides { sources: vec![url.clone()], ..Overrides::default() },
        Overrides { profile: Some(url.clone()), ..Overrides::default() },
        Overrides { data_dir: Some(url.clone().into()), ..Overrides::default() },
    ];
    for flags in flags {
        let text = shown("", &[], &flags);
        assert!(text.contains("error") && !text.contains(CANARY), "{flags:?}: {text}");
    }
}

#[test]
fn a_check_shows_where_the_password_lies_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let path = file_of(&dir, "key", CANARY, 0o600);
    let toml = format!("[sink]\nkind = \"postgres\"\n[postgres]\npassword_file = \"{}\"", path.display());
    let text = shown(&toml, &[], &Overrides::default());
    let place = path.display();
    assert!(text.contains(&format!("without TLS, password from file {place}\n")), "{text}");
    assert!(text.contains(&format!("set      postgres.password_file = \"{place}\" (feedd.toml:4:17)\n")), "{text}");
    assert!(!text.contains(CANARY) && Path::new(&path).exists());
}

proptest! {
    /// Whatever stands around a password, and however broken the file is, it is not shown.
    #[test]
    fn a_password_is_hidden_in_any_file(
        before in "([a-z]{1,3}|ring|capacity|0|[.=\\[\\]{},\"'# \n]){0,20}",
        between in "(=|:| = | |=\"|='|=\"\"\"|=\\[\"|=\"\"\"\n|=\\[\n\")",
        after in "([a-z]{1,3}|port|0|[.=\\[\\]{},\"'# \n]){0,20}",
    ) {
        let file = format!("{before}\n[postgres]\npassword{between}{CANARY}{after}");
        let text = shown(&file, &[], &Overrides::default());
        prop_assert!(!text.contains(CANARY), "{text}");
    }
}
