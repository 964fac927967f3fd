//! Kinds of decisions.

/// A kind of decision. Its id and its code never change; [`ALL`](Self::ALL) has every kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DecisionKind {
    /// The requested release serves.
    HandedOver,
    /// An earlier release serves again, because a person wanted that.
    RolledBack,
    /// The requested release serves already.
    Unchanged,
    /// The last good release serves instead of the requested one.
    FellBack,
    /// No release can serve, and the holding page answers.
    HoldingPage,
    /// The maintenance page answers.
    Maintenance,
    /// Nothing is started, because of maintenance.
    StaysInMaintenance,
    /// No generation of the requested release became READY; the current one serves on.
    Failed,
    /// There was no release to start; the current one serves on.
    Refused,
    /// The release failed before, and nobody requested another try.
    KnownBad,
    /// No generation became READY, and nothing else serves.
    NothingServes,
    /// A generation crashed, and is started again.
    StartedAgain,
    /// A generation crashed too often: its release is given up.
    GivenUp,
    /// A generation cannot be set up: it is started as soon as it can be.
    Waits,
    /// A generation crashed that is not needed: it is not started again.
    NotStartedAgain,
    /// A replaced generation has finished its requests.
    Drained,
    /// A replaced generation did not finish in time, and was killed.
    Cut,
    /// A person has taken the app out of its load balancers.
    TakenOut,
    /// A person has put it back.
    PutBack,
    /// The machine shuts down, and load balancers are told.
    Leaves,
}

impl DecisionKind {
    /// All kinds.
    pub const ALL: [Self; 20] = [
        Self::HandedOver,
        Self::RolledBack,
        Self::Unchanged,
        Self::FellBack,
        Self::HoldingPage,
        Self::Maintenance,
        Self::StaysInMaintenance,
        Self::Failed,
        Self::Refused,
        Self::KnownBad,
        Self::NothingServes,
        Self::StartedAgain,
        Self::GivenUp,
        Self::Waits,
        Self::NotStartedAgain,
        Self::Drained,
        Self::Cut,
        Self::TakenOut,
        Self::PutBack,
        Self::Leaves,
    ];

    /// Its `MESSAGE_ID=`: 32 hexadecimal digits.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::HandedOver => "9e6be66cdf40457c823267303923134b",
            Self::RolledBack => "bc04f3bf135e4649bdf280f481a614dc",
            Self::Unchanged => "538a0c1c70914f89834b374817e9589e",
            Self::FellBack => "c04e897207b7452d82edd78b16b701dc",
            Self::HoldingPage => "c1efc117e54842ca90f6205ff05aa406",
            Self::Maintenance => "94d382b08a01471895d0af5f46c7161c",
            Self::StaysInMaintenance => "d96dd596f1af4e51b1f85e815bd8e351",
            Self::Failed => "75f8309d684d4da6ac06cac13acca0c9",
            Self::Refused => "16b40895ca6e49bea6e1dffd0420ce0a",
            Self::KnownBad => "81928012c7f6477bb31dd38b95baae86",
            Self::NothingServes => "51621e3baf994bc790057bd4967f9cd3",
            Self::StartedAgain => "30e5c6cb34de4e25beccf0e626352b11",
            Self::GivenUp => "8a7b315a8747464d82c9c7c9a51619d8",
            Self::Waits => "d16c63a498d54a8e84f28469fad54a86",
            Self::NotStartedAgain => "ab02ee96cba84cc2bee910600e3e3a89",
            Self::Drained => "27e663c66fbd44ecaa7bce735a8285cf",
            Self::Cut => "4d4a6298ee554c418f878e537d58ed87",
            Self::TakenOut => "82f15950c6a34e3298fbc1cca15865ae",
            Self::PutBack => "8fa508cc13454a6d8d2e95831344bcb0",
            Self::Leaves => "29760d06fc31481ba4a1495a6065cd9a",
        }
    }

    /// Its name for programs: `PORTKEEP_DECISION=`. A fault of `doctor` that follows from it has the same name.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::HandedOver => "handed-over",
            Self::RolledBack => "rolled-back",
            Self::Unchanged => "unchanged",
            Self::FellBack => "fell-back",
            Self::HoldingPage => "holding-page",
            Self::Maintenance => "maintenance",
            Self::StaysInMaintenance => "stays-in-maintenance",
            Self::Failed => "last-handover-failed",
            Self::Refused => "last-handover-refused",
            Self::KnownBad => "known-bad",
            Self::NothingServes => "nothing-serves",
            Self::StartedAgain => "crashes",
            Self::GivenUp => "given-up",
            Self::Waits => "waits",
            Self::NotStartedAgain => "not-started-again",
            Self::Drained => "drained",
            Self::Cut => "cut",
            Self::TakenOut => "taken-out",
            Self::PutBack => "put-back",
            Self::Leaves => "leaves",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_have_the_same_id_or_name() {
        let ids: BTreeSet<_> = DecisionKind::ALL.map(DecisionKind::id).into();
        let codes: BTreeSet<_> = DecisionKind::ALL.map(DecisionKind::code).into();
        assert_eq!((ids.len(), codes.len()), (20, 20));
        for id in ids {
            let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
            assert!(id.len() == 32 && id.chars().all(is_digit), "{id}");
        }
    }
}
