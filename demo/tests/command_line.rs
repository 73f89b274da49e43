//! The program: how it starts, how it stops, and what it refuses.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that meets the unexpected fails by panicking"
)]

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::common::{Program, SECRET};

/// What the interface promises about SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// An option that is wrong is seen at once.
const REFUSAL_LIMIT: Duration = Duration::from_secs(2);

const FRAMEWORKS: [&str; 3] = ["axum", "actix", "poem"];

/// The demo on a framework, serving, and where.
fn serve(framework: &str) -> (Program, String) {
    Program::demo(&["--framework", framework])
}

/// Sends SIGTERM and sees to it that the program ends in good order.
fn stop(demo: Program) {
    demo.terminate();
    let ended = demo.wait(STOP_LIMIT);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    // The line that says where it listens has been read already.
    assert_eq!(
        (ended.stdout.as_slice(), ended.stderr.as_str()),
        (&[][..], "")
    );
}

/// Sends a request whose handler waits for `ms` milliseconds, and returns when the handler is at work: it
/// wants the body then, which is what the server tells a client that expects to be told.
fn start_slow_request(address: &str, ms: u32) -> BufReader<TcpStream> {
    let mut connection = BufReader::new(TcpStream::connect(address).unwrap());
    let head = format!(
        "PUT /api/slow/name?ms={ms} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 1\r\n\
         expect: 100-continue\r\n\r\n"
    );
    connection.get_mut().write_all(head.as_bytes()).unwrap();
    let mut line = String::new();
    connection.read_line(&mut line).unwrap();
    assert_eq!(line, "HTTP/1.1 100 Continue\r\n");
    connection.get_mut().write_all(b"1").unwrap();
    connection
}

#[test]
fn it_says_where_it_listens_serves_and_stops() {
    for framework in FRAMEWORKS {
        let (demo, address) = serve(framework);
        let url = format!("http://{address}");
        let page = ureq::get(&url).call().unwrap().into_body().read_to_string();
        assert!(page.unwrap().contains("<title>Session demo</title>"));

        let put = ureq::put(format!("{url}/api/values/name"))
            .send(r#""Ada""#)
            .unwrap();
        let cookie = put.headers()["set-cookie"].to_str().unwrap();
        let (pair, _) = cookie.split_once(';').unwrap();
        let get = ureq::get(format!("{url}/api/values")).header("cookie", pair);
        let values = get.call().unwrap().into_body().read_to_string();
        assert_eq!(values.unwrap(), r#"{"values":{"name":"Ada"}}"#);
        stop(demo);
    }
}

#[test]
fn options_reach_the_sessions() {
    let (demo, address) = Program::demo(&[
        "--cookie-name",
        "id",
        "--max-age",
        "1.5",
        "--insecure-cookie",
    ]);
    let put = ureq::put(format!("http://{address}/api/values/name"))
        .send("1")
        .unwrap();
    let cookie = put.headers()["set-cookie"].to_str().unwrap();
    assert!(
        cookie.starts_with("id=") && cookie.contains("Max-Age=2"),
        "{cookie}"
    );
    assert!(!cookie.contains("Secure"), "{cookie}");
    stop(demo);
}

/// Sends a login with this body, and gives its cookie.
fn log_in(address: &str, body: &str) -> String {
    let login = ureq::post(format!("http://{address}/api/login"))
        .send(body)
        .unwrap();
    login.headers()["set-cookie"].to_str().unwrap().to_owned()
}

/// How many sessions the user of this cookie has.
fn sessions(address: &str, cookie: &str) -> usize {
    let (pair, _) = cookie.split_once(';').unwrap();
    let list = ureq::get(format!("http://{address}/api/sessions")).header("cookie", pair);
    let list = list.call().unwrap().into_body().read_to_string().unwrap();
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    list["sessions"].as_array().unwrap().len()
}

/// TM-4: a remembered login outlives the browser, where the others end with it.
#[test]
fn sessions_may_end_with_the_browser() {
    let (demo, address) = Program::demo(&[
        "--browser-session",
        "--remember-max-age",
        "7200",
        "--remember-absolute-timeout",
        "7200",
    ]);
    let ordinary = log_in(&address, r#"{"user":"ada"}"#);
    assert!(!ordinary.contains("Max-Age"), "{ordinary}");
    let remembered = log_in(&address, r#"{"user":"ada","remember":true}"#);
    assert!(remembered.contains("Max-Age=7200"), "{remembered}");
    stop(demo);
}

#[test]
fn a_user_may_have_as_many_sessions_as_the_option_says() {
    for (max, expected) in [("2", 2), ("0", 101)] {
        let (demo, address) = Program::demo(&["--max-sessions-per-user", max]);
        let mut last = String::new();
        for _ in 0..101 {
            last = log_in(&address, r#"{"user":"ada"}"#);
        }
        assert_eq!(sessions(&address, &last), expected, "at most {max}");
        stop(demo);
    }
}

#[test]
fn a_grace_of_the_clock_tolerance_is_enough() {
    let (demo, _) = Program::demo(&[
        "--kind",
        "members",
        "--grace",
        "1",
        "--clock-tolerance",
        "1",
    ]);
    stop(demo);
}

#[test]
fn it_stops_although_a_client_stays_connected() {
    for framework in FRAMEWORKS {
        let (demo, address) = serve(framework);
        let mut idle = BufReader::new(TcpStream::connect(&address).unwrap());
        let request = format!("GET /api/untouched HTTP/1.1\r\nhost: {address}\r\n\r\n");
        idle.get_mut().write_all(request.as_bytes()).unwrap();
        let mut line = String::new();
        idle.read_line(&mut line).unwrap();
        assert_eq!(line, "HTTP/1.1 200 OK\r\n");
        let _never_used = TcpStream::connect(&address).unwrap();
        stop(demo);
    }
}

#[test]
fn a_request_under_way_is_answered_before_it_stops() {
    for framework in FRAMEWORKS {
        let (demo, address) = serve(framework);
        let mut request = start_slow_request(&address, 500);
        let start = Instant::now();
        stop(demo);
        let mut answer = String::new();
        request.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("HTTP/1.1 200 OK"), "{answer}");
        assert!(answer.ends_with(r#"{"ok":true}"#), "{answer}");
        assert!(
            start.elapsed() < Duration::from_secs(3),
            "it waited for nothing"
        );
    }
}

#[test]
fn a_request_that_takes_too_long_is_not_waited_for() {
    for framework in FRAMEWORKS {
        let (demo, address) = serve(framework);
        let mut request = start_slow_request(&address, 10_000);
        stop(demo);
        let mut answer = String::new();
        // The connection may end or break, but there is no answer.
        let _ = request.read_to_string(&mut answer);
        assert!(!answer.contains("200 OK"), "{answer}");
    }
}

#[test]
fn bad_options_are_refused_with_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let cases: &[(&[&str], &str)] = &[
        (&["--nonsense"], "--nonsense"),
        (&["stray"], "stray"),
        (&["--listen", &taken], &taken),
        (&["--listen", "nowhere"], "nowhere"),
        (&["--secret", "short"], "at least 32"),
        (
            &["--secret", SECRET, "--previous-secret", SECRET],
            "same as an earlier one",
        ),
        #[cfg(not(feature = "redis"))]
        (&["--store", "redis://localhost"], "--features redis"),
        (&["--store", "mongo://localhost"], "--store mongo:"),
        (&["--framework", "rocket"], "rocket"),
        (&["--max-age", "soon"], "soon"),
        (
            &["--max-age", "10", "--absolute-timeout", "5"],
            "lower max_age",
        ),
        (
            &["--grace", "5", "--clock-tolerance", "6"],
            "grace (5s) is shorter than clock_tolerance (6s)",
        ),
        (&["--grace", "59"], "clock_tolerance (60s)"),
        (&["--clock-tolerance", "61"], "grace (60s)"),
        (
            &[
                "--remember-max-age",
                "20",
                "--remember-absolute-timeout",
                "10",
            ],
            "longer than remember_absolute_timeout (10s)",
        ),
        (&["--kind"], "--kind"),
    ];
    for &(options, reason) in cases {
        // No secret is given in most: its warning would be a second line, and has to wait its turn.
        check_refusal(Program::start(&mut Program::demo_command(options)), reason);
    }
}

#[test]
fn a_short_secret_in_the_environment_is_refused() {
    let mut command = Program::demo_command(&[]);
    check_refusal(
        Program::start(command.env("SESSION_SECRET", "short")),
        "at least 32",
    );
}

fn check_refusal(demo: Program, reason: &str) {
    let ended = demo.wait(REFUSAL_LIMIT);
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    assert_eq!(ended.stdout, [""; 0]);
    let lines: Vec<_> = ended.stderr.lines().collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with("session-demo: ") && lines[0].contains(reason),
        "{lines:?}"
    );
}

#[test]
fn without_a_secret_it_warns_and_serves() {
    let mut command = Program::demo_command(&["--listen", "127.0.0.1:0"]);
    let demo = Program::start(&mut command);
    assert!(
        demo.next_line()
            .unwrap()
            .starts_with("listening on http://127.0.0.1:")
    );
    demo.terminate();
    let ended = demo.wait(STOP_LIMIT);
    assert_eq!((ended.status.code(), ended.stdout.len()), (Some(0), 0));
    assert!(ended.stderr.contains("random secret"), "{ended:?}");
}

#[test]
fn help_is_printed_and_nothing_is_served() {
    let ended = Program::start(&mut Program::demo_command(&["--help"])).wait(REFUSAL_LIMIT);
    assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(0), ""));
    for option in ["--listen", "--secret", "--store", "--insecure-cookie"] {
        assert!(
            ended.stdout.iter().any(|line| line.contains(option)),
            "{option}"
        );
    }
}
