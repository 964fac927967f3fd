//! Fills the unit templates, strictly.
//!
//! A template is itself a readable unit file: `{{ name }}` is a value, lines that begin with `#%` are statements, lines
//! that begin with `##` are notes that stay in the template. All other comments are kept, since people read the units
//! with `systemctl cat`.

use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};

use crate::SpecError;
use crate::escape::Escaped;

/// A unit template with the name of its file in `systemd/`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Template {
    pub(crate) file: &'static str,
    pub(crate) text: &'static str,
}

/// What a template may use. Text comes in as [`Escaped`] or not at all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Context(BTreeMap<&'static str, Slot>);

#[derive(Debug, Clone)]
enum Slot {
    One(Escaped),
    Maybe(Option<Escaped>),
    Many(Vec<Escaped>),
}

impl Context {
    /// A value that is always there.
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<Escaped>) {
        self.0.insert(name, Slot::One(value.into()));
    }

    /// A value that may be absent: for `#% if`.
    pub(crate) fn set_optional(&mut self, name: &'static str, value: Option<Escaped>) {
        self.0.insert(name, Slot::Maybe(value));
    }

    /// Any number of values: for `#% for`.
    pub(crate) fn set_list(&mut self, name: &'static str, values: Vec<Escaped>) {
        self.0.insert(name, Slot::Many(values));
    }

    #[cfg(test)]
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }
}

impl Slot {
    fn value(&self) -> Value {
        match self {
            Self::One(text) => Value::from(text.as_str()),
            Self::Maybe(None) => Value::from(()),
            Self::Maybe(Some(text)) => Value::from(text.as_str()),
            Self::Many(texts) => texts
                .iter()
                .map(|text| Value::from(text.as_str()))
                .collect(),
        }
    }
}

impl Template {
    /// Fills the template. An unknown name, and a list or an absent value where text is wanted, are errors.
    pub(crate) fn render(self, context: &Context) -> Result<String, SpecError> {
        self.try_render(context)
            .map_err(|source| SpecError::Template {
                template: self.file,
                source: Box::new(source),
            })
    }

    fn try_render(self, context: &Context) -> Result<String, Error> {
        let environment = environment()?;
        let template = environment.template_from_named_str(self.file, self.text)?;
        template.render(Value::from_pairs(
            context.0.iter().map(|(&name, slot)| (name, slot.value())),
        ))
    }

    /// The names the template uses.
    #[cfg(test)]
    pub(crate) fn uses(self) -> std::collections::HashSet<String> {
        let environment = environment().unwrap();
        environment
            .template_from_named_str(self.file, self.text)
            .unwrap()
            .undeclared_variables(false)
    }
}

fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_syntax(
        SyntaxConfig::builder()
            .line_statement_prefix("#%")
            .line_comment_prefix("##")
            .keep_trailing_newline(true)
            .build()?,
    );
    environment.set_formatter(|out, _, value| match value.as_str() {
        Some(text) if value.kind() == ValueKind::String => out.write_str(text).map_err(Error::from),
        _ => Err(Error::new(
            ErrorKind::BadEscape,
            format!("a text is wanted, not {}", value.kind()),
        )),
    });
    Ok(environment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &'static str) -> Result<String, SpecError> {
        let mut context = Context::default();
        context.set("name", Escaped::fixed("hello"));
        context.set_optional("some", Some(Escaped::number(1)));
        context.set_optional("none", None);
        context.set_list("list", vec![Escaped::number(1), Escaped::number(2)]);
        Template { file: "test", text }.render(&context)
    }

    #[test]
    fn statements_and_notes_leave_no_line() {
        let text = "# kept\n## note\nA={{ name }}\n#% if some\nB={{ some }}\n#% endif\n#% if none\nC={{ none }}\n#% endif\n#% for x in list\nD={{ x }}\n#% endfor\nE=1\n";
        assert_eq!(
            render(text).unwrap(),
            "# kept\nA=hello\nB=1\nD=1\nD=2\nE=1\n"
        );
    }

    #[test]
    fn mistakes_are_errors() {
        for text in [
            "{{ nmae }}",
            "{{ none }}",
            "{{ list }}",
            "#% if nmae\n#% endif\n",
            "{{ name",
        ] {
            assert!(
                matches!(render(text), Err(SpecError::Template { .. })),
                "{text}"
            );
        }
    }
}
