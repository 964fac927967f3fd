//! Terminal: output, keys and signals.

mod keys;
mod open_browser;
mod signals;
mod view;

use std::sync::Arc;

use portkeep_spec::AppName;

use super::effect::Notice;
use super::screen::Screen;
pub(crate) use keys::Keys;
pub(crate) use open_browser::open_browser;
pub(crate) use signals::Signals;
pub(crate) use view::lines;

/// Shows notices of one app.
#[derive(Debug)]
pub(crate) struct Terminal {
    name: AppName,
    screen: Arc<dyn Screen>,
}

impl Terminal {
    pub(crate) fn new(name: AppName, screen: Arc<dyn Screen>) -> Self {
        Self { name, screen }
    }

    pub(crate) fn show(&self, notice: &Notice) {
        for line in view::lines(&self.name, notice) {
            self.screen.line(&line);
        }
    }
}
