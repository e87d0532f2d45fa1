//! What can happen to a face to face transaction, and what has.

use jiff::Timestamp;

/// One thing that happens once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Created,
    Joined,
    Rejected,
    /// Before anything was paid.
    Cancelled,
    DepositPaid,
    DepositAccepted,
    /// With money to give back.
    CancelledWithDeposit,
    DepositRefunded,
    Priced,
    RemainderSkipped,
    RemainderPaid,
    BuyerHandoverConfirmed,
    SellerHandoverConfirmed,
    Tracked,
    Delivered,
    Complained,
    ComplaintAccepted,
    ComplaintPeriodEnded,
    FundsReleased,
    ClaimedByBuyer,
    ClaimedBySeller,
}

/// Everything that has happened, oldest first.
#[derive(Clone, Debug)]
pub(crate) struct History(Vec<(Event, Timestamp)>);

// === impl Event ===

impl Event {
    /// The word that the transaction's status then is; `None` leaves it as it was.
    fn status(self) -> Option<&'static str> {
        match self {
            Self::ComplaintAccepted | Self::ClaimedByBuyer | Self::ClaimedBySeller => None,
            Self::CancelledWithDeposit => Some("cancelled_with_deposit"),
            event => Some(event.field()),
        }
    }

    /// The member that tells when it happened, and the end of the code of its webhook.
    pub(crate) fn field(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Joined => "joined",
            Self::Rejected => "rejected",
            Self::Cancelled | Self::CancelledWithDeposit => "cancelled",
            Self::DepositPaid => "deposit_paid",
            Self::DepositAccepted => "deposit_accepted",
            Self::DepositRefunded => "deposit_refunded",
            Self::Priced => "priced",
            Self::RemainderSkipped => "remainder_skipped",
            Self::RemainderPaid => "remainder_paid",
            Self::BuyerHandoverConfirmed => "buyer_handover_confirmed",
            Self::SellerHandoverConfirmed => "seller_handover_confirmed",
            Self::Tracked => "tracked",
            Self::Delivered => "delivered",
            Self::Complained => "complained",
            // Told within the complaint.
            Self::ComplaintAccepted => "accepted",
            Self::ComplaintPeriodEnded => "complaint_period_ended",
            Self::FundsReleased => "funds_released",
            Self::ClaimedByBuyer => "claimed_by_buyer",
            Self::ClaimedBySeller => "claimed_by_seller",
        }
    }
}

// === impl History ===

impl History {
    /// Begins with the creation.
    pub(crate) fn new(created: Timestamp) -> Self {
        Self(vec![(Event::Created, created)])
    }

    pub(crate) fn record(&mut self, event: Event, at: Timestamp) {
        self.0.push((event, at));
    }

    /// When it last happened.
    pub(crate) fn when(&self, event: Event) -> Option<Timestamp> {
        self.0.iter().rev().find(|(happened, _)| *happened == event).map(|(_, at)| *at)
    }

    pub(crate) fn has(&self, event: Event) -> bool {
        self.when(event).is_some()
    }

    pub(crate) fn has_any(&self, events: &[Event]) -> bool {
        events.iter().any(|event| self.has(*event))
    }

    pub(crate) fn status(&self) -> &'static str {
        self.0.iter().rev().find_map(|(event, _)| event.status()).unwrap_or("created")
    }

    /// Everything with its time.
    pub(crate) fn events(&self) -> impl Iterator<Item = (Event, Timestamp)> {
        self.0.iter().copied()
    }
}
