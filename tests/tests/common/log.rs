//! What is logged while a test looks, for the tests of all adapters.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tracing::subscriber::{DefaultGuard, set_default};

/// The log of this thread, for as long as this lives.
pub(crate) struct Log {
    lines: LogWriter,
    _until_dropped: DefaultGuard,
}

#[derive(Clone, Default)]
struct LogWriter(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn capture() -> Self {
        let lines = LogWriter::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .finish();
        Self {
            lines,
            _until_dropped: set_default(subscriber),
        }
    }

    /// The lines that contain `part`.
    pub(crate) fn lines_with(&self, part: &str) -> Vec<String> {
        let log = String::from_utf8(self.lines.0.lock().unwrap().clone()).unwrap();
        let found = log.lines().filter(|line| line.contains(part));
        found.map(str::to_owned).collect()
    }

    /// Checks that there is one error, and that it says `part`.
    #[track_caller]
    pub(crate) fn check_error(&self, part: &str) {
        let errors = self.lines_with("ERROR");
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains(part), "{errors:?}");
    }
}

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
