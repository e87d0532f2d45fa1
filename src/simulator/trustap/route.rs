//! Which operation a method and path ask for, by the templates of the facts.

use http::StatusCode;

use super::super::form;
use super::super::partner::Received;
use super::facts::{Operation, facts};
use super::refusal::Refusal;

/// Where the API lives, below the partner's mount.
const PREFIX: &str = "/api/v1";

/// A parameter of the path with its value, escapes undone.
pub(crate) type Parameter = (String, String);

/// The operation of a request with its path parameters; 404 or 405 without a code, else.
pub(crate) fn find(request: &Received) -> Result<(&'static Operation, Vec<Parameter>), Refusal> {
    let absent = Refusal::absent;
    let path = request.path.strip_prefix(PREFIX).ok_or_else(absent)?;
    let segments = path.split('/').map(form::segment).collect::<Result<Vec<_>, _>>();
    let segments = segments.map_err(|_| absent())?;
    let mut at_path = facts()
        .operations()
        .iter()
        .filter_map(|operation| Some((operation, matched(&operation.path, &segments)?)))
        .peekable();
    at_path.peek().ok_or_else(absent)?;
    let verb = request.method.as_str();
    let not_allowed = || Refusal::bare(StatusCode::METHOD_NOT_ALLOWED);
    at_path.find(|(operation, _)| operation.verb == verb).ok_or_else(not_allowed)
}

fn matched(template: &str, segments: &[String]) -> Option<Vec<Parameter>> {
    let template: Vec<_> = template.split('/').collect();
    if template.len() != segments.len() {
        return None;
    }
    let mut parameters = Vec::new();
    for (wanted, given) in template.into_iter().zip(segments) {
        match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) if !given.is_empty() => {
                parameters.push((name.to_owned(), given.clone()));
            }
            Some(_) => return None,
            None if wanted == given => {}
            None => return None,
        }
    }
    Some(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_belongs_to_two_operations() {
        for operation in facts().operations() {
            let path = operation.path.replace(['{', '}'], "");
            let segments: Vec<_> = path.split('/').map(str::to_owned).collect();
            let others = facts().operations().iter().filter(|other| {
                other.verb == operation.verb && matched(&other.path, &segments).is_some()
            });
            assert_eq!(others.count(), 1, "{} {path}", operation.verb);
        }
    }
}
