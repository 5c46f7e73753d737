//! Files of a change → what each call is given. Pure.
//!
//! A file is never cut. Folders stay together as far as they fit: whoever reads a function wants to see its neighbours,
//! and so are the calls about something. Any two chunks that follow each other are together larger than one may be, so
//! there are at most `2 * size / limit + 1` of them.

use std::collections::HashMap;
use std::ops::Range;

use crate::diff::FileDiff;

/// A path with its size, and where its parts stand: git prints a file that becomes a symlink as two.
struct Item<'a> {
    path: &'a str,
    bytes: usize,
    places: Vec<usize>,
}

/// Places in `files`, each in exactly one chunk; `limit` is in bytes of diff. A file that is larger stands alone.
pub fn pack(files: &[FileDiff], limit: usize) -> Vec<Vec<usize>> {
    let mut items: Vec<Item<'_>> = Vec::new();
    let mut known: HashMap<&str, usize> = HashMap::new();
    for (place, file) in files.iter().enumerate() {
        let index = *known.entry(&file.path).or_insert_with(|| {
            items.push(Item { path: &file.path, bytes: 0, places: vec![] });
            items.len() - 1
        });
        items[index].bytes += file.to_text().len();
        items[index].places.push(place);
    }
    // By components, so that all of `a/` stands together and not with `a-b` in between.
    items.sort_by(|a, b| a.path.split('/').cmp(b.path.split('/')));
    let chunks = together(&items, 0..items.len(), 0, limit);
    chunks
        .into_iter()
        .map(|chunk| {
            let mut places: Vec<usize> = items[chunk].iter().flat_map(|item| item.places.iter().copied()).collect();
            places.sort_unstable();
            places
        })
        .collect()
}

/// The items of one folder, `depth` components deep: as one where they fit, else by what is in it.
fn together(items: &[Item<'_>], range: Range<usize>, depth: usize, limit: usize) -> Vec<Range<usize>> {
    if range.len() <= 1 || size(items, &range) <= limit {
        return if range.is_empty() { vec![] } else { vec![range] };
    }
    let component = |index: usize| items[index].path.split('/').nth(depth);
    let mut parts = Vec::new();
    let mut start = range.start;
    while start < range.end {
        let end = (start..range.end).find(|index| component(*index) != component(start)).unwrap_or(range.end);
        parts.extend(together(items, start..end, depth + 1, limit));
        start = end;
    }
    joined(items, parts, limit)
}

/// Neighbours become one as long as they fit.
fn joined(items: &[Item<'_>], parts: Vec<Range<usize>>, limit: usize) -> Vec<Range<usize>> {
    let mut chunks: Vec<Range<usize>> = Vec::with_capacity(parts.len());
    for part in parts {
        match chunks.last_mut() {
            Some(last) if size(items, last).saturating_add(size(items, &part)) <= limit => last.end = part.end,
            _ => chunks.push(part),
        }
    }
    chunks
}

fn size(items: &[Item<'_>], range: &Range<usize>) -> usize {
    items[range.clone()].iter().map(|item| item.bytes).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::review::sample::{added, deleted};

    /// A file whose diff has about `bytes` bytes.
    fn file(path: &str, bytes: usize) -> FileDiff {
        let line = format!("+{}", "x".repeat(bytes));
        added(path, &[&line])
    }

    fn paths(files: &[FileDiff], limit: usize) -> Vec<Vec<&str>> {
        let chunks = pack(files, limit);
        chunks.iter().map(|chunk| chunk.iter().map(|place| files[*place].path.as_str()).collect()).collect()
    }

    #[test]
    fn what_fits_is_one_chunk_in_the_order_of_the_change() {
        assert_eq!(paths(&[file("b", 10), file("a", 10)], 10_000), [["b", "a"]]);
        assert_eq!(pack(&[], 10), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn folders_stay_together() {
        let files: Vec<FileDiff> = ["web/a", "src/x/1", "web/b", "src/x/2", "src/y/1", "src/y/2", "README", "src-2/a"]
            .map(|path| file(path, 1000))
            .into();
        assert_eq!(
            paths(&files, 2500),
            [
                vec!["README"],
                vec!["src/x/1", "src/x/2"],
                vec!["src/y/1", "src/y/2"],
                vec!["src-2/a"],
                vec!["web/a", "web/b"]
            ]
        );
    }

    #[test]
    fn a_file_larger_than_a_chunk_stands_alone() {
        let files = [file("a", 100), file("b", 9000), file("c", 100), file("d", 100)];
        assert_eq!(paths(&files, 1000), [vec!["a"], vec!["b"], vec!["c", "d"]]);
    }

    #[test]
    fn both_parts_of_a_file_stay_together() {
        let files = [deleted("link", &["-x"]), file("a", 500), added("link", &["+target"])];
        assert_eq!(pack(&files, 400), [vec![1], vec![0, 2]]);
    }

    proptest! {
        #[test]
        fn every_file_is_in_one_chunk_and_there_are_not_too_many(
            files in prop::collection::vec(("([ab]/){0,3}[a-e]{1,2}", 0..300_usize), 0..40),
            limit in 1..1500_usize,
        ) {
            let files: Vec<FileDiff> = files.iter().map(|(path, bytes)| file(path, *bytes)).collect();
            let bytes = |chunk: &[usize]| chunk.iter().map(|place| files[*place].to_text().len()).sum::<usize>();
            let chunks = pack(&files, limit);
            let mut all: Vec<usize> = chunks.iter().flatten().copied().collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..files.len()).collect::<Vec<_>>());
            for chunk in &chunks {
                let one_path = chunk.iter().all(|place| files[*place].path == files[chunk[0]].path);
                prop_assert!(bytes(chunk) <= limit || one_path);
            }
            for pair in chunks.windows(2) {
                prop_assert!(bytes(&pair[0]) + bytes(&pair[1]) > limit);
            }
            let total: usize = files.iter().map(|file| file.to_text().len()).sum();
            prop_assert!(chunks.len() <= 2 * total / limit + 1);
        }
    }
}
