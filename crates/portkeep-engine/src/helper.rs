//! Commands that an app's units call, and that a person calls by the app's name.
//!
//! All decisions are made here. The caller gets everything as values: [`Progress`] while a helper works, a result at its
//! end. The commands turn these into sentences and exit codes.

mod activate;
mod deploy;
mod error;
mod installed;
mod leave;
mod page;
mod person;
mod preview;
mod progress;
mod reload;
mod retry;
mod secrets;
mod serves;
mod serving;
mod settle;
mod take_out;
#[cfg(test)]
mod tests;

use std::env;
use std::path::Path;

use portkeep_spec::{Manager, Spec};

pub use error::HelperError;
pub use leave::leave;
pub use page::holding_page;
pub(crate) use person::outcome_of_job;
pub use person::reload_handle;
pub use preview::Preview;
pub use progress::{Progress, Settlement};
pub use retry::retry;
pub use serving::{NotServing, Serving};
pub use settle::{EndOf, Hook, Word, settle};
pub use take_out::{TakeOutResult, emptied};

use crate::backend::HandleUnit;
use crate::execute::{Outcome, Request, hand_over};
use crate::handover::{HandoverId, Purpose};
use crate::store::Store;

/// The manager that this process belongs to: systemd sets `MANAGERPID` for user managers only.
#[must_use]
pub fn own_manager() -> Manager {
    match env::var_os("MANAGERPID") {
        Some(_) => Manager::User,
        None => Manager::System,
    }
}

/// A helper at work for one app.
pub struct Helper<'a, M> {
    manager: &'a M,
    store: &'a Store,
    tell: Box<dyn Fn(Progress<'_>) + Send + Sync + 'a>,
}

impl<M> std::fmt::Debug for Helper<'_, M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Helper")
            .field("store", self.store)
            .finish_non_exhaustive()
    }
}

impl<'a, M: HandleUnit> Helper<'a, M> {
    /// A helper for the app of `manager` and `store`, which reports its progress.
    pub fn new(
        manager: &'a M,
        store: &'a Store,
        tell: impl Fn(Progress<'_>) + Send + Sync + 'a,
    ) -> Self {
        Self {
            manager,
            store,
            tell: Box::new(tell),
        }
    }

    /// The identity of the handover that the handle's job asks for, or a new one if it has none. It is reported at once:
    /// the journal looks up the sender of a line when it reads the line, and finds nobody if the helper has ended by then.
    async fn begin(&self, purpose: Purpose) -> HandoverId {
        let job = self.manager.handle_job().await.ok().flatten();
        let id = job.map_or_else(HandoverId::unique, HandoverId::of_job);
        (self.tell)(Progress::Begins { id: &id, purpose });
        id
    }

    /// Performs one handover. If no release can serve, it hands over to the holding page.
    async fn hand_over(&self, spec: &Spec, request: Request) -> Result<Outcome, HelperError> {
        let request = request.or_holding_page(holding_page(spec));
        let outcome = hand_over(self.manager, self.store, spec, request).await?;
        (self.tell)(Progress::Ended(&outcome));
        Ok(outcome)
    }
}

fn read_spec(path: &Path) -> Result<Spec, HelperError> {
    Spec::load(path).map_err(|source| HelperError::Spec {
        path: path.to_owned(),
        source: Box::new(source),
    })
}
