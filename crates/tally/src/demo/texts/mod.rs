//! All that the demo says, in English and in Chinese. Names of departments,
//! lists, measures and records are the policy pack's, in both languages too.

mod checks;
mod lines;
#[cfg(test)]
mod tests;

use std::fmt::Display;

use serde::{Serialize, Serializer};

pub use crate::cli::lang::Lang;
pub use checks::*;
pub use lines::*;

/// A text with `{0}`, `{1}`, … where values go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    /// In English.
    pub en: &'static str,
    /// In Chinese.
    pub zh: &'static str,
}

impl Text {
    /// The text with these values in their places.
    pub fn with(&self, values: &[&dyn Say]) -> Phrase {
        let filled = |text: &str, lang: Lang| {
            let mut filled = text.to_owned();
            for (place, value) in values.iter().enumerate() {
                filled = filled.replace(&format!("{{{place}}}"), &value.say(lang));
            }
            filled
        };
        Phrase {
            en: filled(self.en, Lang::En),
            zh: filled(self.zh, Lang::Zh),
        }
    }
}

/// Something said in both languages. As JSON it is English.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Phrase {
    /// In English.
    pub en: String,
    /// In Chinese.
    pub zh: String,
}

impl Phrase {
    /// What anything says in both languages.
    pub fn of(what: &(impl Say + ?Sized)) -> Self {
        Self {
            en: what.say(Lang::En),
            zh: what.say(Lang::Zh),
        }
    }

    /// A name of the policy pack; in English where it has no other.
    pub fn named(name: &str, name_zh: Option<&String>) -> Self {
        Self {
            en: name.to_owned(),
            zh: name_zh.map_or(name, String::as_str).to_owned(),
        }
    }
}

impl Serialize for Phrase {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.en)
    }
}

/// What can stand in a text: a name or a number.
pub trait Say {
    /// It, in that language.
    fn say(&self, lang: Lang) -> String;
}

impl Say for Phrase {
    fn say(&self, lang: Lang) -> String {
        match lang {
            Lang::En => self.en.clone(),
            Lang::Zh => self.zh.clone(),
        }
    }
}

impl Say for Text {
    fn say(&self, lang: Lang) -> String {
        self.with(&[]).say(lang)
    }
}

/// Numbers, days and stable reasons read the same in both.
impl<T: Display + ?Sized> Say for T {
    fn say(&self, _lang: Lang) -> String {
        self.to_string()
    }
}

/// Constants, and a slice of them all for the tests: a text that is added is
/// tested without being named twice.
macro_rules! texts {
    ($($name:ident: $en:literal, $zh:literal;)+) => {
        $(pub const $name: $crate::demo::texts::Text = $crate::demo::texts::Text { en: $en, zh: $zh };)+
        #[cfg(test)]
        pub(super) const ALL: &[$crate::demo::texts::Text] = &[$($name),+];
    };
}
use texts;
