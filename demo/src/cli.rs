//! The command line.

use std::env::VarError;
use std::ffi::OsString;
use std::time::Duration;

use lexopt::prelude::*;
use session_conformance::app;
use session_core::{DEFAULT_STORE_TIMEOUT, Secret, SessionConfig, SessionConfigBuilder, WhenFull};

use crate::store::StoreUrl;
use crate::{Framework, not_in_this_build};

/// What `--help` prints.
pub const USAGE: &str = "\
usage: session-demo [OPTIONS]
  --framework NAME           axum (default), actix or poem
  --listen ADDR              default 127.0.0.1:3000; port 0 picks one
  --store URL                memory: (default), redis://…, rediss://…, redis-cluster://HOST:PORT,…,
                             postgres://…, postgres-pooler://… (PgBouncer with a connection for each
                             transaction), mysql://… or sqlite:PATH
  --secret STRING            or SESSION_SECRET; default: a random one, gone with the process
  --previous-secret STRING   repeatable
  --transport NAME           cookie (default), or bearer: a token in `Authorization: Bearer TOKEN`, which comes in
                             the response header `Session-Token`
  --cookie-name NAME         default session_id
  --kind NAME                default: the cookie's name; sessions of other kinds are never listed together
  --browser-session          sessions end with the browser, remembered logins apart
  --max-age SECONDS          default 3600; fractions allowed, here and below
  --absolute-timeout SECONDS default 86400
  --touch-interval SECONDS   default: a tenth of max-age
  --grace SECONDS            default 60
  --clock-tolerance SECONDS  default 60; --grace may not be less
  --store-timeout SECONDS    default 5
  --remember-max-age SECONDS default 2592000: how long a remembered login lasts unused
  --remember-absolute-timeout SECONDS
                             default 31536000: how long it lasts however active it is
  --max-sessions-per-user N  default 100, 0 is any number; a login beyond that ends the user's oldest session
  --insecure-cookie          no Secure attribute, for plain-http clients that insist on it";

/// What the command line says.
#[derive(Debug)]
pub struct Options {
    /// What serves the demo.
    pub framework: Framework,
    /// Where the sessions are kept.
    pub store: StoreUrl,
    /// How long the store may take.
    pub store_timeout: Duration,
    /// Where to listen, as `HOST:PORT`.
    pub listen: String,
    /// The sessions' configuration.
    pub config: SessionConfig,
    /// The secret is a random one, which won't outlive the process.
    pub secret_is_random: bool,
}

impl Options {
    /// Reads the command line; `None` means that only the usage is wanted. The error is one line that says
    /// what is wrong.
    pub fn from_args(mut args: lexopt::Parser) -> Result<Option<Self>, String> {
        let mut framework = Framework::Axum;
        let mut store = StoreUrl::Memory;
        let mut store_timeout = DEFAULT_STORE_TIMEOUT;
        let mut listen = "127.0.0.1:3000".to_owned();
        let mut secret = match std::env::var("SESSION_SECRET") {
            Ok(secret) => Some(secret),
            Err(VarError::NotPresent) => None,
            Err(VarError::NotUnicode(_)) => return Err("SESSION_SECRET is not UTF-8".to_owned()),
        };
        let mut previous = Vec::new();
        let (mut is_bearer, mut is_insecure) = (false, false);
        // Options of the builder, to be set once the secret is known.
        let mut set: Vec<Box<dyn FnOnce(SessionConfigBuilder) -> SessionConfigBuilder>> =
            Vec::new();
        while let Some(arg) = args.next().map_err(|error| error.to_string())? {
            match arg {
                Long("framework") => framework = read_framework(&text(args.value())?)?,
                Long("listen") => listen = text(args.value())?,
                Long("store") => store = StoreUrl::parse(&text(args.value())?)?,
                Long("secret") => secret = Some(text(args.value())?),
                Long("previous-secret") => previous.push(text(args.value())?),
                Long("transport") => match text(args.value())?.as_str() {
                    "cookie" => is_bearer = false,
                    "bearer" => is_bearer = true,
                    other => {
                        let advice = "use cookie or bearer";
                        return Err(format!("--transport {other:?} is unknown: {advice}"));
                    }
                },
                Long("cookie-name") => {
                    let name = text(args.value())?;
                    set.push(Box::new(|builder| builder.cookie_name(name)));
                }
                Long("kind") => {
                    let kind = text(args.value())?;
                    set.push(Box::new(|builder| builder.kind(kind)));
                }
                Long("browser-session") => {
                    set.push(Box::new(|builder| builder.cookie_persistent(false)));
                }
                Long("max-age") => {
                    let max_age = seconds(args.value())?;
                    set.push(Box::new(move |builder| builder.max_age(max_age)));
                }
                Long("absolute-timeout") => {
                    let timeout = seconds(args.value())?;
                    set.push(Box::new(move |builder| builder.absolute_timeout(timeout)));
                }
                Long("touch-interval") => {
                    let interval = seconds(args.value())?;
                    set.push(Box::new(move |builder| builder.touch_interval(interval)));
                }
                Long("grace") => {
                    let grace = seconds(args.value())?;
                    set.push(Box::new(move |builder| builder.grace(grace)));
                }
                Long("clock-tolerance") => {
                    let tolerance = seconds(args.value())?;
                    set.push(Box::new(move |builder| builder.clock_tolerance(tolerance)));
                }
                Long("store-timeout") => {
                    store_timeout = seconds(args.value())?;
                    set.push(Box::new(move |builder| {
                        builder.store_timeout(store_timeout)
                    }));
                }
                Long("remember-max-age") => {
                    let max_age = seconds(args.value())?;
                    set.push(Box::new(move |builder| builder.remember_max_age(max_age)));
                }
                Long("remember-absolute-timeout") => {
                    let timeout = seconds(args.value())?;
                    set.push(Box::new(move |builder| {
                        builder.remember_absolute_timeout(timeout)
                    }));
                }
                Long("max-sessions-per-user") => {
                    let max = number(args.value())?;
                    set.push(Box::new(move |builder| match max {
                        0 => builder.unlimited_sessions_per_user(),
                        max => builder.max_sessions_per_user(max, WhenFull::EndOldest),
                    }));
                }
                Long("insecure-cookie") => is_insecure = true,
                Short('h') | Long("help") => return Ok(None),
                other => return Err(format!("{}; --help lists the options", other.unexpected())),
            }
        }
        let secret_is_random = secret.is_none();
        let secret = secret.map_or_else(random_secret, |secret| Ok(secret.into()))?;
        let secrets = std::iter::once(secret).chain(previous.into_iter().map(Secret::from));
        let builder = SessionConfig::builder_with_secrets(secrets).exclude_path(app::EXCLUDED);
        let builder = set.into_iter().fold(builder, |builder, set| set(builder));
        // A token has no `Secure`, so that nothing is left to drop.
        let builder = match is_bearer {
            true => builder.bearer_token(),
            false => builder.cookie_secure(!is_insecure),
        };
        let config = builder.build().map_err(|error| error.to_string())?;
        Ok(Some(Self {
            framework,
            store,
            store_timeout,
            listen,
            config,
            secret_is_random,
        }))
    }
}

fn read_framework(name: &str) -> Result<Framework, String> {
    match name {
        "axum" => Ok(Framework::Axum),
        #[cfg(feature = "actix")]
        "actix" => Ok(Framework::Actix),
        #[cfg(feature = "poem")]
        "poem" => Ok(Framework::Poem),
        _ => Err(match missing_feature(name) {
            Some(feature) => not_in_this_build(&format!("--framework {name}"), feature),
            None => format!("--framework {name:?} is unknown: use axum, actix or poem"),
        }),
    }
}

/// The feature of this crate with which a framework would be there.
fn missing_feature(framework: &str) -> Option<&'static str> {
    match framework {
        "actix" if !cfg!(feature = "actix") => Some("actix"),
        "poem" if !cfg!(feature = "poem") => Some("poem"),
        _ => None,
    }
}

fn random_secret() -> Result<Secret, String> {
    let mut secret = [0; 48];
    getrandom::fill(&mut secret).map_err(|error| format!("no random secret: {error}"))?;
    Ok(Secret::from(secret))
}

fn text(value: Result<OsString, lexopt::Error>) -> Result<String, String> {
    value
        .and_then(ValueExt::string)
        .map_err(|error| error.to_string())
}

fn number(value: Result<OsString, lexopt::Error>) -> Result<usize, String> {
    let text = text(value)?;
    text.parse()
        .map_err(|_| format!("{text:?} is not a number, such as 5"))
}

fn seconds(value: Result<OsString, lexopt::Error>) -> Result<Duration, String> {
    let text = text(value)?;
    let bad = || format!("{text:?} is not a number of seconds, such as 60 or 0.5");
    let seconds: f64 = text.parse().map_err(|_| bad())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Option<Options>, String> {
        Options::from_args(lexopt::Parser::from_args(args))
    }

    #[test]
    fn good_options_are_taken() {
        let secret = "a secret of at least thirty-two bytes";
        let options = parse(&[
            "--framework",
            "poem",
            "--listen=127.0.0.1:0",
            "--store",
            "memory:",
            "--secret",
            secret,
            "--previous-secret",
            "another secret of at least 32 bytes",
            "--cookie-name",
            "id",
            "--kind",
            "members",
            "--browser-session",
            "--max-age",
            "0.5",
            "--absolute-timeout",
            "10",
            "--touch-interval",
            "0",
            "--grace",
            "1",
            "--clock-tolerance",
            "1",
            "--store-timeout",
            "0.25",
            "--remember-max-age",
            "60",
            "--remember-absolute-timeout",
            "60",
            "--max-sessions-per-user",
            "5",
            "--insecure-cookie",
        ]);
        let options = options.unwrap().unwrap();
        assert!(!options.secret_is_random);
        assert_eq!(options.framework, Framework::Poem);
        assert_eq!(
            (options.listen.as_str(), options.config.cookie_name()),
            ("127.0.0.1:0", Some("id"))
        );
        // Nothing else shows the kind without a store that two programs share.
        let config = format!("{:?}", options.config);
        assert!(config.contains(r#"kind: "members""#), "{config}");
    }

    /// ID-5: what carries the id is chosen at the start. `--insecure-cookie` may stand beside either.
    #[test]
    fn the_transport_is_chosen() {
        for (args, cookie) in [
            (
                &["--insecure-cookie", "--transport", "cookie"][..],
                Some("session_id"),
            ),
            (&["--insecure-cookie", "--transport", "bearer"], None),
            (&["--transport=bearer"], None),
        ] {
            let options = parse(args).unwrap().unwrap();
            assert_eq!(options.config.cookie_name(), cookie, "{args:?}");
        }
    }

    #[test]
    fn help_needs_nothing_else() {
        assert!(
            parse(&["--secret", "short", "--help", "--nonsense"])
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn bad_options_are_one_clear_line() {
        let cases: &[(&[&str], &str)] = &[
            (&["--nonsense"], "--help lists the options"),
            (&["stray"], "--help lists the options"),
            (&["--max-age"], "max-age"),
            (&["--max-age", "soon"], "not a number of seconds"),
            (&["--max-age", "-1"], "not a number of seconds"),
            (
                &["--max-age", "10", "--absolute-timeout", "5"],
                "lower max_age",
            ),
            (&["--secret", "short"], "at least 32"),
            (&["--framework", "rocket"], "use axum, actix or poem"),
            #[cfg(not(feature = "redis"))]
            (
                &["--store", "redis://user:password@host"],
                "build it with --features redis",
            ),
            (&["--store", "memory"], "memory:"),
            (&["--transport", "url"], "use cookie or bearer"),
            (
                &["--transport", "bearer", "--cookie-name", "id"],
                "cookie_name means nothing",
            ),
            (&["--store", "floppy:"], "floppy:… is unknown"),
            (&["--max-sessions-per-user", "five"], "not a number"),
            (&["--max-sessions-per-user", "-1"], "not a number"),
            (&["--clock-tolerance", "soon"], "not a number of seconds"),
        ];
        for &(args, advice) in cases {
            let line = parse(args).err().unwrap();
            assert!(
                line.contains(advice) && !line.contains('\n') && !line.contains("password"),
                "{line}"
            );
        }
    }
}
