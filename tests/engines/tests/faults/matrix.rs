//! The table: which faults there are, and how each engine's column comes about.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::timeout;

/// A cell takes seconds. One that takes this long will never be over.
const CELL_LIMIT: Duration = Duration::from_secs(60);

/// What happens to an engine.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    Killed,
    Paused,
    Cut,
    Full,
    ReadOnly,
    Refused,
    Flushed,
    Held,
    Lost,
}

impl Fault {
    /// In the order in which an engine meets them. The loss of a master comes last, as it leaves another cluster.
    const ALL: [Self; 9] = [
        Self::Killed,
        Self::Paused,
        Self::Cut,
        Self::Full,
        Self::ReadOnly,
        Self::Refused,
        Self::Flushed,
        Self::Held,
        Self::Lost,
    ];

    /// For what belongs to one cell alone: a table, a file, or the prefix of keys.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Killed => "visits_killed",
            Self::Paused => "visits_paused",
            Self::Cut => "visits_cut",
            Self::Full => "visits_full",
            Self::ReadOnly => "visits_read_only",
            Self::Refused => "visits_refused",
            Self::Flushed => "visits_flushed",
            Self::Held => "visits_held",
            Self::Lost => "visits_lost",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Killed => "killed under load, and started again",
            Self::Paused => "paused for longer than the deadline",
            Self::Cut => "connections cut by the server",
            Self::Full => "out of room",
            Self::ReadOnly => "read-only",
            Self::Refused => "password refused, TLS refused",
            Self::Flushed => "scripts flushed",
            Self::Held => "a lock held by a stranger",
            Self::Lost => "a master lost, and its replica promoted",
        }
    }
}

/// A kind of store, with whatever it stores in.
pub(crate) trait Engine: Sized {
    const NAME: &'static str;

    async fn start() -> Self;

    /// What has started, for whoever reads the table: the name, with the version where there are several.
    fn title(&self) -> String {
        Self::NAME.to_owned()
    }

    /// Brings the fault about, sees how requests fare, and leaves the engine well again.
    async fn suffer(&self, fault: Fault) -> Cell;
}

/// What was found, in a few words, and what is wrong with it.
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) problems: Vec<String>,
}

impl Cell {
    /// There is no such fault here.
    pub(crate) fn absent(reason: &str) -> Self {
        Self {
            text: reason.to_owned(),
            problems: Vec::new(),
        }
    }

    /// Both in one cell.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.text = format!("{}; {}", self.text, other.text);
        self.problems.extend(other.problems);
        self
    }

    fn failed(problem: String) -> Self {
        Self {
            text: "nothing was found out".to_owned(),
            problems: vec![problem],
        }
    }
}

pub(crate) struct Column {
    engine: String,
    cells: [Cell; Fault::ALL.len()],
}

/// Starts the engine and has it suffer everything, one fault after the other.
pub(crate) fn column<E: Engine>(runtime: &Runtime) -> Column {
    let engine = survive(|| runtime.block_on(E::start()));
    let title = engine.as_ref().map(Engine::title);
    let cells = Fault::ALL.map(|fault| match &engine {
        Ok(engine) => cell(runtime, engine, fault),
        Err(panic) => Cell::failed(format!("it did not start: {panic}")),
    });
    Column {
        engine: title.unwrap_or_else(|_| E::NAME.to_owned()),
        cells,
    }
}

fn cell(runtime: &Runtime, engine: &impl Engine, fault: Fault) -> Cell {
    let limited = async { timeout(CELL_LIMIT, engine.suffer(fault)).await };
    match survive(|| runtime.block_on(limited)) {
        Ok(Ok(cell)) => cell,
        Ok(Err(_)) => Cell::failed(format!("not over after {CELL_LIMIT:?}")),
        Err(panic) => Cell::failed(format!("a panic: {panic}")),
    }
}

/// The result, or the text of the panic, so that the other cells have their turn.
fn survive<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let literal = || payload.downcast_ref::<&str>().map(ToString::to_string);
        let text = payload.downcast_ref::<String>().cloned();
        text.or_else(literal).unwrap_or_default()
    })
}

/// All columns; as it is shown, a table in Markdown.
pub(crate) struct Matrix(pub(crate) Vec<Column>);

impl Matrix {
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for Column { engine, cells } in &self.0 {
            for (fault, cell) in Fault::ALL.iter().zip(cells) {
                let place = format!("{engine}, {}", fault.title());
                let all = cell.problems.iter();
                problems.extend(all.map(|problem| format!("- {place}: {problem}")));
                if cell.text.trim().is_empty() {
                    problems.push(format!("- {place}: the cell is empty"));
                }
            }
        }
        problems
    }
}

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| fault |")?;
        for column in &self.0 {
            write!(f, " {} |", column.engine)?;
        }
        writeln!(f, "\n|---|{}", "---|".repeat(self.0.len()))?;
        for (row, fault) in Fault::ALL.iter().enumerate() {
            write!(f, "| {} |", fault.title())?;
            for column in &self.0 {
                let cell = &column.cells[row];
                let mark = if cell.problems.is_empty() {
                    ""
                } else {
                    "**wrong:** "
                };
                write!(f, " {mark}{} |", cell.text)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
