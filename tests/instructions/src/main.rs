//! Answers the requests of one case, in process and on one thread, for a tool that counts the instructions:
//! `session-instruction-counts <case> <requests>`. `cargo xtask instructions` runs it under callgrind.
#![allow(
    clippy::print_stdout,
    reason = "the list of the cases is for the program that runs them"
)]

mod on_actix;
mod on_axum;
mod on_poem;
mod setup;

use std::process::ExitCode;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "\
Usage: session-instruction-counts <case> <requests>
       session-instruction-counts --list
";

const FRAMEWORKS: [&str; 3] = ["actix", "axum", "poem"];

const OTHER_COOKIES: &str = "theme=dark; lang=en-GB; consent=necessary; cart=3f9a2c71; tour=seen";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["--list"] => {
            list();
            Ok(())
        }
        [case, requests] => run(case, requests),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn list() {
    for framework in FRAMEWORKS {
        for (case, _) in Case::ALL {
            println!("{framework}-{case}");
        }
    }
}

fn run(name: &str, requests: &str) -> Result<()> {
    let count: u32 = requests.parse()?;
    let unknown = || format!("there is no case {name}; --list shows those that there are");
    let (framework, case) = name.split_once('-').ok_or_else(unknown)?;
    let known = Case::ALL.into_iter().find(|(known, _)| *known == case);
    let (_, case) = known.ok_or_else(unknown)?;

    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let manager = setup::manager()?;
        let cookie = setup::store_session(&manager).await?;
        let requests = case.requests(count, &cookie);
        let sessions = (case != Case::Bare).then_some(manager);
        match framework {
            "actix" => on_actix::run(sessions, &requests).await,
            "axum" => on_axum::run(sessions, &requests).await,
            "poem" => on_poem::run(sessions, &requests).await,
            _ => Err(unknown().into()),
        }
    })
}

/// What a request finds, and what its handler does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    /// The framework without the session middleware; the handler is that of `Unused`.
    Bare,
    Unused,
    Read,
    Write,
    New,
    Forged,
}

impl Case {
    const ALL: [(&str, Self); 6] = [
        ("bare", Self::Bare),
        ("unused", Self::Unused),
        ("read", Self::Read),
        ("write", Self::Write),
        ("new", Self::New),
        ("forged", Self::Forged),
    ];

    /// The requests of a visitor whose session has this cookie.
    fn requests(self, count: u32, cookie: &str) -> Requests {
        let path = match self {
            Self::Bare | Self::Unused => "/unused",
            Self::Read | Self::Forged => "/read",
            Self::Write => "/write",
            Self::New => "/new",
        };
        let cookies = match self {
            Self::New => OTHER_COOKIES.to_owned(),
            Self::Forged => format!("{OTHER_COOKIES}; {}", setup::forged(cookie)),
            _ => format!("{OTHER_COOKIES}; {cookie}"),
        };
        Requests {
            count,
            path,
            cookies,
            status: if self == Self::Forged { 204 } else { 200 },
            sets_cookie: self == Self::New,
        }
    }
}

/// Equal requests, and the answer that each of them has to get.
struct Requests {
    count: u32,
    path: &'static str,
    cookies: String,
    status: u16,
    sets_cookie: bool,
}

impl Requests {
    /// The instructions of a case that fails, or does something else than its name says, would be worth nothing.
    fn check(&self, status: u16, sets_cookie: bool) -> Result<()> {
        if (status, sets_cookie) == (self.status, self.sets_cookie) {
            return Ok(());
        }
        let cookie = if sets_cookie { "a" } else { "no" };
        Err(format!("unexpected answer: status {status} with {cookie} cookie").into())
    }
}
