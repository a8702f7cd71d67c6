//! `parlour components`: brings what a project has from Parlour to what this binary has.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use crate::kit::{FOLDER, Kit, Update};

#[derive(Args)]
pub struct Flags {
    /// The project: the folder that has its spin.toml
    #[arg(default_value = ".", value_name = "FOLDER")]
    project: PathBuf,
    /// Overwrite also what was changed by hand
    #[arg(long)]
    overwrite: bool,
}

impl Flags {
    pub fn update(&self) -> Result<()> {
        let update = Kit::own()?.update(&self.project, self.overwrite)?;
        if !update.by_hand.is_empty() && !self.overwrite {
            bail!(
                "these files of {FOLDER}/ were changed by hand, and an update from {} to {} would overwrite them, so nothing \
                 was changed; copy what you need and run it again with --overwrite:\n  {}",
                update.from,
                update.to,
                update.by_hand.join("\n  ")
            );
        }
        report(&update);
        Ok(())
    }
}

fn report(update: &Update) {
    let Update { from, to, .. } = update;
    let steps = [
        ("changed", &update.changed),
        ("new", &update.added),
        ("removed", &update.removed),
    ];
    if steps.iter().all(|(_, names)| names.is_empty()) {
        println!("{FOLDER}/ has all of {to} already");
        return;
    }
    match from == to {
        true => println!("{FOLDER}/ {to}: brought to what this build of it has"),
        false => println!("{FOLDER}/ {from} -> {to}"),
    }
    for (what, names) in steps {
        for name in names {
            println!("  {what:<8} {name}");
        }
    }
}
