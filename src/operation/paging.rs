//! How a list's pages follow one another, for the twin that streams them.

use super::Operation;
use super::options;

/// The list that a server-streaming rpc walks.
#[derive(Debug)]
pub struct Paging {
    /// The unary rpc that answers one page.
    pub list: &'static Operation,
    /// The number of its reply's field that holds the elements.
    pub elements: u32,
    /// What the next page is asked by.
    pub walk: Walk,
}

/// What tells one page from the next, by field numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// The ids of the elements.
    Ids {
        /// The element's id.
        id: u32,
        /// The request's field for elements with smaller ids.
        before: u32,
        /// The request's field for elements with larger ids.
        after: u32,
    },
    /// The page's number, the first being 1.
    Numbers {
        /// The request's field for it.
        page: u32,
        /// The reply's field for how many there are.
        pages: u32,
    },
}

impl Paging {
    /// What `names` says of `list`, in numbers.
    ///
    /// # Errors
    /// Names a field that is missing.
    pub(super) fn resolve(
        names: &options::Paging,
        list: &'static Operation,
    ) -> Result<Self, String> {
        let (request, reply) = (list.request(), list.reply());
        let number = |message: &super::Message, name: &str| {
            let field = message.field_named(name).map(|(_, field)| field.number);
            field.ok_or_else(|| format!("{} has no field {name:?}", message.name))
        };
        let walk = if names.page.is_empty() {
            Walk::Ids {
                id: number(element(list, &names.elements)?, &names.id)?,
                before: number(request, &names.before)?,
                after: number(request, &names.after)?,
            }
        } else {
            Walk::Numbers {
                page: number(request, &names.page)?,
                pages: number(reply, &names.pages)?,
            }
        };
        Ok(Self { list, elements: number(reply, &names.elements)?, walk })
    }
}

fn element(list: &'static Operation, name: &str) -> Result<&'static super::Message, String> {
    match list.reply().field_named(name).map(|(_, field)| field.kind) {
        Some(super::Kind::Message(id)) => Ok(list.schema.message(id)),
        _ => Err(format!("{} has no list of messages {name:?}", list.reply().name)),
    }
}
