//! The notifications that a user finds in their account: one for each change of a transaction that
//! concerns them. Read page by page and marked as read.

use jiff::Timestamp;

use super::super::json::Object;
use super::call::{Call, Document, Outcome, Route};
use super::page;
use super::refusal::Refusal;
use super::state::{State, time};

pub(crate) const ROUTES: &[Route] = &[
    Route("GET", "/me/notifications", list),
    Route("GET", "/notifications/{notification_id}", get),
    Route("POST", "/notifications/{notification_id}/mark_as_read", mark_as_read),
];

/// One line in a user's account.
#[derive(Clone, Debug)]
pub(crate) struct Notification {
    id: i64,
    user: String,
    target: String,
    description: String,
    created: Timestamp,
    read: Option<Timestamp>,
}

/// Tells users about a change of `target`, such as `basic/1309`.
pub(crate) fn notify(
    state: &mut State,
    now: Timestamp,
    users: &[String],
    target: &str,
    description: &str,
) {
    for user in users {
        let notification = Notification {
            id: state.next_id(),
            user: user.clone(),
            target: target.to_owned(),
            description: description.to_owned(),
            created: now,
            read: None,
        };
        state.notifications.push(notification);
    }
}

// === impl Notification ===

impl Notification {
    fn shown(&self) -> Object {
        let object = Object::new()
            .with("created", time(self.created))
            .with("description", &self.description)
            .with("id", self.id)
            .with("target", &self.target)
            .with("user_id", &self.user);
        match self.read {
            Some(read) => object.with("read", time(read)),
            None => object,
        }
    }
}

fn list(call: &mut Call<'_>) -> Outcome {
    let user = call.user()?;
    let own = call.state.notifications.iter().filter(|notification| notification.user == user);
    let page = page::read(&call.input)?.of(own, |notification| notification.id);
    let shown: Vec<_> = page.into_iter().map(|found| call.whole(found.shown())).collect();
    Ok(Document::of(&shown))
}

fn get(call: &mut Call<'_>) -> Outcome {
    let object = own(call)?.shown();
    call.found(object)
}

fn mark_as_read(call: &mut Call<'_>) -> Outcome {
    let now = call.now;
    let notification = own(call)?;
    notification.read.get_or_insert(now);
    let object = notification.shown();
    call.found(object)
}

// Another user's is as good as none.
fn own<'a>(call: &'a mut Call<'_>) -> Result<&'a mut Notification, Refusal> {
    let (user, id) = (call.user()?, call.input.id()?);
    let mut all = call.state.notifications.iter_mut();
    all.find(|found| found.id == id && found.user == user).ok_or_else(Refusal::absent)
}
