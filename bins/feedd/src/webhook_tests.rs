//! What is posted, and that no receiver, however slow or hostile, holds anything up.

use super::*;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream as Plain};
use std::thread::JoinHandle;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn alert(state: State) -> Alert {
    Alert {
        rule: "FeeddDiskFull".into(),
        who: "/data".into(),
        level: Level::Critical,
        state,
        since: 1_700_000_000_000_000_000,
        until: (state == State::Resolved).then_some(1_700_000_060_000_000_000),
        text: "0 MB are free".into(),
        remedy: "make room".into(),
    }
}

fn settings(url: String) -> Settings {
    Settings { url: Some(url), timeout: Duration::from_millis(300), ..Settings::default() }
}

/// Reads a request: its head, and its body as JSON.
fn read(stream: &Plain) -> (String, Value) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
    }
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    let mut body = vec![0; length.expect("a length").parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    (head, serde_json::from_slice(&body).unwrap())
}

/// A server that treats each connection with the next of `acts`; gives what each was sent.
fn server(acts: Vec<fn(Plain)>) -> (String, JoinHandle<Vec<(String, Value)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook?to=ops", listener.local_addr().unwrap());
    let serve = move || {
        let serve = |act: fn(Plain)| {
            let (stream, _) = listener.accept().unwrap();
            let request = read(&stream);
            act(stream);
            request
        };
        acts.into_iter().map(serve).collect()
    };
    (url, std::thread::spawn(serve))
}

/// What becomes of one message.
fn sent(settings: &Settings) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let target = Target::new(settings.url.as_ref().unwrap(), settings, Path::new("/data")).unwrap();
    send(&runtime, &target, &[alert(State::Firing)], &Shared::default())
}

#[test]
fn a_message_has_the_shape_of_alertmanagers() {
    let target = Target::new("http://127.0.0.1:1/", &settings(String::new()), Path::new("/var/lib/feedd")).unwrap();
    let message = target.message(&[alert(State::Firing), alert(State::Resolved)]);
    assert_eq!((&message["version"], &message["status"]), (&json!("4"), &json!("firing")));
    let [firing, resolved] = [&message["alerts"][0], &message["alerts"][1]];
    assert_eq!(firing["labels"]["alertname"], "FeeddDiskFull");
    assert_eq!(firing["labels"]["severity"], "critical");
    assert_eq!(firing["labels"]["data_dir"], "/var/lib/feedd");
    assert_eq!(firing["annotations"], json!({ "summary": "/data: 0 MB are free", "description": "make room" }));
    assert_eq!((&firing["startsAt"], &firing["endsAt"]), (&json!("2023-11-14T22:13:20Z"), &json!(NO_END)));
    assert_eq!((&resolved["status"], &resolved["endsAt"]), (&json!("resolved"), &json!("2023-11-14T22:14:20Z")));
    assert_eq!(firing["fingerprint"], resolved["fingerprint"], "the same alert");
    assert_eq!(target.message(&[alert(State::Resolved)])["status"], "resolved");
}

#[test]
fn it_is_posted_with_its_token_and_retried_after_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "Bearer canary\n").unwrap();
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let (url, served) = server(vec![
        |mut stream| stream.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").unwrap(),
        |mut stream| stream.write_all(OK).unwrap(),
    ]);
    let settings = Settings { token: Some(feedd_config::SecretRef::File(token)), ..settings(url) };
    assert_eq!(sent(&settings), Ok(()));
    let requests = served.join().unwrap();
    let [(head, first), (_, second)] = requests.as_slice() else { panic!("two attempts: {requests:?}") };
    assert!(head.starts_with("POST /hook?to=ops HTTP/1.1\r\n"), "{head}");
    assert!(head.to_lowercase().contains("\r\nauthorization: bearer canary\r\n"), "{head}");
    assert_eq!(first, second);
}

#[test]
fn a_redirect_is_not_followed_and_a_refusal_not_tried_again() {
    type Act = fn(Plain);
    let cases: [(Act, &str); 2] = [
        (
            |mut stream| stream.write_all(b"HTTP/1.1 307 No\r\nLocation: http://127.0.0.1:1/\r\n\r\n").unwrap(),
            "it answers 307 Temporary Redirect, a redirect, which is not followed; it is not tried again",
        ),
        (
            |mut stream| stream.write_all(b"HTTP/1.1 403 No\r\n\r\n").unwrap(),
            "it answers 403 Forbidden; it is not tried again",
        ),
    ];
    for (act, expected) in cases {
        let (url, served) = server(vec![act]);
        assert_eq!(sent(&settings(url)), Err(expected.to_owned()));
        assert_eq!(served.join().unwrap().len(), 1);
    }
}

#[test]
fn an_endless_body_is_not_read_and_an_endless_head_is_refused() {
    let (url, served) = server(vec![|mut stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        // Until the sender has gone.
        while stream.write_all(b"400\r\n").and_then(|()| stream.write_all(&[b'x'; 0x400])).is_ok() {}
    }]);
    assert_eq!(sent(&settings(url)), Ok(()), "its head says all");
    assert_eq!(served.join().unwrap().len(), 1);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (url, served) = server(vec![|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"X-More: and more\r\n").is_ok() {}
    }]);
    let target = Target::new(&url, &settings(url.clone()), Path::new("/data")).unwrap();
    let failure = runtime.block_on(within(Duration::from_secs(30), target.post(Bytes::from_static(b"{}"))));
    assert!(matches!(failure, Err(Failure::Later(ref text)) if text.starts_with("the exchange: ")), "{failure:?}");
    served.join().unwrap();
}

#[test]
fn a_receiver_that_never_answers_holds_up_neither_alerts_nor_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let settings = Settings {
        timeout: Duration::from_secs(60),
        ..settings(format!("http://{}/", listener.local_addr().unwrap()))
    };
    let webhook = Webhook::start(&settings, Path::new("/data")).unwrap().unwrap();
    webhook.tell(alert(State::Firing));
    let (stream, _) = listener.accept().unwrap();
    let (_, body) = read(&stream);
    assert_eq!(body["alerts"].as_array().unwrap().len(), 1);
    // The thread waits for an answer; the queue takes what it holds, the rest is counted.
    let more = 10;
    (0..QUEUE_ALERTS_MAX + more).for_each(|_| webhook.tell(alert(State::Firing)));
    assert_eq!(webhook.told(), Told { sent: 0, failed: 0, dropped: more as u64 });
    // Returns although the answer never comes.
    webhook.end();
    webhook.tell(alert(State::Resolved));
    assert_eq!(webhook.told().sent, 0);
}

#[test]
fn what_is_given_up_at_the_end_is_counted() {
    // A port that was free a moment ago: whoever connects is refused.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let webhook = Webhook::start(&settings(format!("http://127.0.0.1:{port}/")), Path::new("/data")).unwrap().unwrap();
    webhook.tell(alert(State::Firing));
    webhook.end();
    assert_eq!(webhook.told(), Told { sent: 0, failed: 1, dropped: 0 });
}

#[test]
fn a_token_that_no_header_can_carry_is_refused_and_not_shown() {
    let error = header("Authorization", &Secret::new("canary\nX: y".to_owned())).unwrap_err();
    assert_eq!(format!("{error:#}"), "the token has characters that no header can carry");
}
