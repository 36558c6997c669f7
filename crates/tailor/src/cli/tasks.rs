//! Which tasks a command is about, and where their documents are: the same words for all commands.

use std::path::PathBuf;

use layer_ir::Hub;
use tailor::Error;
use task_eval::{CodeExecution, ModelTokenizer, Options, PreparedTask, Selection, TaskConfig, TaskLibrary};

use super::console::Console;
use super::hub;

/// Tasks by their names, and where their data lie.
#[derive(Debug, clap::Args)]
pub(super) struct TaskArguments {
    /// Names of tasks, groups or tags, patterns, or task files.
    #[arg(long, required = true, value_delimiter = ',')]
    tasks: Vec<String>,
    /// A folder with task files; may be given several times.
    #[arg(long)]
    include: Vec<PathBuf>,
    /// The folder of the data sets that tasks name by their hub id, `DIR/org/name/...`; what is not there is looked for
    /// in the hub's local cache.
    #[arg(long, value_name = "DIR", default_value = task_eval::DEFAULT_DATA_ROOT)]
    data: PathBuf,
    /// Download models and data sets that are nowhere here from the hub (`HF_ENDPOINT`, `HF_TOKEN`) into its local
    /// cache.
    #[arg(long)]
    download: bool,
    /// Run the programs that the model writes, for tasks such as mbpp and humaneval: in bubblewrap (`bwrap`), or in
    /// what `--code-sandbox` names.
    #[arg(long)]
    allow_code_execution: bool,
    /// The container command that runs such a program, a Python script on its standard input.
    #[arg(long, value_name = "COMMAND", requires = "allow_code_execution")]
    code_sandbox: Option<String>,
}

impl TaskArguments {
    /// How the tasks are prepared, if nothing else is said.
    pub fn options(&self, console: &Console) -> Options {
        let download = self.download.then(|| hub::download(console));
        let code_execution = self.allow_code_execution.then(|| CodeExecution { sandbox: self.code_sandbox.clone() });
        Options { data_root: self.data.clone(), download, code_execution, ..Options::default() }
    }

    /// Where the models are found.
    pub fn hub(&self, console: &Console) -> Hub {
        hub::hub(self.download, console)
    }

    /// What was asked for, and the tasks that it comes to, prepared for the tokenizer `text`, each with its options.
    ///
    /// # Errors
    /// What task-eval says of the names, the files and their data; [`Error::BadOption`] for a group without tasks.
    pub fn prepare(
        &self,
        text: &ModelTokenizer,
        mut options: impl FnMut(&TaskConfig) -> Options,
    ) -> Result<(Selection, Vec<PreparedTask>), Error> {
        let selection = TaskLibrary::load(&self.include)?.select(&self.tasks)?;
        let prepare = |task| Ok(PreparedTask::new(task, text, &options(task))?);
        let tasks = selection.tasks.iter().map(prepare).collect::<Result<Vec<_>, Error>>()?;
        if tasks.is_empty() {
            let (found, expected) = ("empty".to_owned(), "the name of at least one task");
            return Err(Error::BadOption { option: "tasks", found, expected });
        }
        Ok((selection, tasks))
    }
}
