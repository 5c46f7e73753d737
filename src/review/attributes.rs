//! What the `.gitattributes` of the base say of the files of a change. Those of the head do not count: no change may
//! exempt itself from being read.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::git::{Change, Mirror};

const GENERATED: &str = "linguist-generated";
const VENDORED: &str = "linguist-vendored";

/// Files that have a mark, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Attributes(BTreeMap<String, Marks>);

/// `Some(false)`: the base says that it is not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Marks {
    pub generated: Option<bool>,
    pub vendored: Option<bool>,
}

impl Attributes {
    pub(super) async fn of(mirror: &Mirror, change: &Change, scratch: &Path) -> Result<Attributes> {
        let touched = mirror.touched(change).await?;
        if touched.is_empty() {
            return Ok(Attributes::default());
        }
        Ok(mirror.attributes(&change.rules, &[GENERATED, VENDORED], &touched, scratch).await?.into_iter().collect())
    }

    pub fn marks(&self, path: &str) -> Marks {
        self.0.get(path).copied().unwrap_or_default()
    }
}

/// From path, attribute and value. As a value `true` and `false` are usual for these two; no other means anything.
impl FromIterator<[String; 3]> for Attributes {
    fn from_iter<I: IntoIterator<Item = [String; 3]>>(said: I) -> Attributes {
        let mut files: BTreeMap<String, Marks> = BTreeMap::new();
        for [path, attribute, value] in said {
            let is = match value.as_str() {
                "set" | "true" => true,
                "unset" | "false" => false,
                _ => continue,
            };
            let marks = files.entry(path).or_default();
            match attribute.as_str() {
                GENERATED => marks.generated = Some(is),
                VENDORED => marks.vendored = Some(is),
                _ => {}
            }
        }
        Attributes(files)
    }
}
