//! Preview of a reload, without doing it.

use super::{Helper, HelperError, read_spec};
use crate::backend::{HandleState, HandleUnit};
use crate::generation::Generation;
use crate::handover::Unchanged;
use crate::installed::{Comparison, compare};

/// The result of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preview {
    /// Another generation would be started.
    HandsOver,
    /// The current generation runs the present release already.
    Unchanged(Generation),
    /// It would fail, because of maintenance.
    InMaintenance,
}

/// Facts for a preview.
#[derive(Debug, Clone, Copy)]
struct PreviewInput {
    is_up: bool,
    in_maintenance: bool,
    is_holding_page: bool,
    current: Option<Generation>,
    comparison: Comparison,
}

impl Preview {
    fn of(found: PreviewInput, unchanged: Unchanged) -> Self {
        match found.current {
            _ if found.in_maintenance => Self::InMaintenance,
            Some(current)
                if found.is_up
                    && !found.is_holding_page
                    && unchanged == Unchanged::IsDone
                    && found.comparison == Comparison::Same =>
            {
                Self::Unchanged(current)
            }
            _ => Self::HandsOver,
        }
    }
}

impl<M: HandleUnit> Helper<'_, M> {
    /// What [`Helper::reload_by_name`] would do now. Nothing is changed; files are read as far as a capture reads them.
    ///
    /// # Errors
    /// When it is not installed, and when its spec cannot be read.
    pub async fn preview(&self, unchanged: Unchanged) -> Result<Preview, HelperError> {
        let handle = self.installed_handle().await?;
        let store = self.store;
        let comparison = match store.spec_path() {
            Some(path) => compare(self.manager, store, &read_spec(&path)?).await,
            None => Comparison::Unknown,
        };
        let current = store.current();
        let found = PreviewInput {
            is_up: handle == HandleState::Active,
            in_maintenance: store.maintenance().is_some(),
            is_holding_page: current.is_some_and(|one| store.is_holding_page(one)),
            current,
            comparison,
        };
        Ok(Preview::of(found, unchanged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAME: PreviewInput = PreviewInput {
        is_up: true,
        in_maintenance: false,
        is_holding_page: false,
        current: Some(Generation(7)),
        comparison: Comparison::Same,
    };

    #[test]
    fn a_reload_is_for_nothing_only_where_the_same_serves() {
        let preview = |found| Preview::of(found, Unchanged::IsDone);
        assert_eq!(preview(SAME), Preview::Unchanged(Generation(7)));
        for comparison in [
            Comparison::OtherFiles,
            Comparison::OtherSettings,
            Comparison::Unknown,
        ] {
            let found = PreviewInput { comparison, ..SAME };
            assert_eq!(preview(found), Preview::HandsOver, "{comparison:?}");
        }
        for found in [
            PreviewInput {
                is_up: false,
                ..SAME
            },
            PreviewInput {
                is_holding_page: true,
                ..SAME
            },
            PreviewInput {
                current: None,
                ..SAME
            },
        ] {
            assert_eq!(preview(found), Preview::HandsOver, "{found:?}");
        }
        assert_eq!(
            Preview::of(SAME, Unchanged::IsStarted),
            Preview::HandsOver,
            "what is forced"
        );
    }

    #[test]
    fn maintenance_lasts_until_somebody_ends_it() {
        let found = PreviewInput {
            in_maintenance: true,
            comparison: Comparison::OtherFiles,
            ..SAME
        };
        for unchanged in [Unchanged::IsDone, Unchanged::IsStarted] {
            assert_eq!(Preview::of(found, unchanged), Preview::InMaintenance);
        }
    }
}
