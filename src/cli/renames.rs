//! The renaming of weights that another program has saved; shared by the commands that read a model.

use birnn::parameters::Rename;

#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct RenameArguments {
    /// Rename the weights of a model that another program has saved: names that begin with OLD begin with NEW instead.
    /// `--rename module.=` takes `module.` away, `--rename lstm.=encoder.` replaces `lstm.`; several are done in order.
    #[arg(long, value_name = "OLD=NEW", value_parser = rename, requires = "model")]
    pub(super) rename: Vec<Rename>,
}

/// Parses `OLD=NEW`.
fn rename(text: &str) -> Result<Rename, String> {
    match text.split_once('=') {
        Some((from, to)) if from != to => Ok(Rename::new(from, to)),
        _ => Err("write OLD=NEW, as in module.= or lstm.=encoder.".into()),
    }
}
