//! Path templates: the part of `google.api.http`'s grammar that partners' paths need.
//!
//! ```text
//! Template = "/" { Segment "/" } ;   Segment = LITERAL | "{" FIELD "}" ;
//! ```
//! Wildcards, nested fields and custom verbs of the full grammar (`google/api/http.proto`)
//! describe paths of Google's own making; here a template is the partner's path as its
//! document prints it, a trailing slash included.

/// A parsed path template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    text: String,
    pieces: Vec<Piece>,
}

/// A run of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text that is sent as it is.
    Literal(String),
    /// The value of a request field, one whole segment.
    Variable(String),
}

impl PathTemplate {
    /// Parses `text`, or says where it goes wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(format!("the path {text:?} does not begin with a slash"));
        };
        let mut pieces = Vec::new();
        let mut literal = String::from("/");
        for (index, segment) in rest.split('/').enumerate() {
            if index > 0 {
                literal.push('/');
            }
            match segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
                Some(name) if is_field(name) => {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                    pieces.push(Piece::Variable(name.to_owned()));
                }
                None if segment.bytes().all(is_unreserved) => literal.push_str(segment),
                _ => {
                    return Err(format!(
                        "the segment {segment:?} of the path {text:?} is not understood"
                    ));
                }
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Self { text: text.to_owned(), pieces })
    }

    /// The template as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its runs, in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The fields that its variables name, in order.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Variable(name) => Some(name.as_str()),
            Piece::Literal(_) => None,
        })
    }
}

fn is_field(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// RFC 3986 section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_split_at_its_variables() {
        let template = PathTemplate::parse("/invitations/{id}/merchant/keys").unwrap();
        assert_eq!(
            template.pieces(),
            [
                Piece::Literal("/invitations/".into()),
                Piece::Variable("id".into()),
                Piece::Literal("/merchant/keys".into()),
            ]
        );
        assert_eq!(template.variables().collect::<Vec<_>>(), ["id"]);
    }

    #[test]
    fn a_trailing_slash_is_part_of_the_path() {
        let template = PathTemplate::parse("/v1/direct-debit/bank-account/").unwrap();
        assert_eq!(template.pieces(), [Piece::Literal("/v1/direct-debit/bank-account/".into())]);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in
            ["", "v1", "/{a", "/a}", "/{a=*}", "/{}", "/a:b", "/a b", "/**", "/{a}{b}", "/a?b"]
        {
            assert!(PathTemplate::parse(text).is_err(), "{text}");
        }
    }
}
