//! What people answered to findings, and whose answers count. Pure.
//!
//! Whoever may write to the repository dismisses a finding by resolving its conversation, or by a reply that does not
//! agree with it. What a bot or a mere contributor says changes nothing.

use std::collections::{BTreeSet, HashMap};

use super::ledger::{Answer, Dismissal, Heard};
use crate::forge::{Comment, Permission, Resolution, Thread};
use crate::plain;

/// What is kept of a reply, in characters.
const MAX_WHY: usize = 300;

/// Logins of all who did something that may dismiss; what was heard before is by fingerprint.
pub fn people(threads: &[Thread], heard: &HashMap<String, Heard>) -> BTreeSet<String> {
    let mut people = BTreeSet::new();
    for thread in threads {
        let heard = heard.get(&thread.fingerprint).copied().unwrap_or_default();
        people.extend(new_replies(thread, heard).map(|reply| reply.author.clone()));
        people.extend(new_resolver(thread, heard).map(str::to_owned));
    }
    people
}

/// What is new about each finding, by its fingerprint. Whoever is not in `permissions` could not be looked up: what they
/// said is to be heard the next time.
pub fn answers(
    threads: &[Thread],
    heard: &HashMap<String, Heard>,
    permissions: &HashMap<String, Permission>,
    now_ms: i64,
) -> HashMap<String, Answer> {
    let may = |login: &str| permissions.get(login).is_some_and(|permission| *permission >= Permission::Write);
    let mut answers: HashMap<String, Answer> = HashMap::new();
    for thread in threads {
        let before = heard.get(&thread.fingerprint).copied().unwrap_or_default();
        let answer = answers
            .entry(thread.fingerprint.clone())
            .or_insert_with(|| Answer { heard: Heard { resolved: false, ..before }, dismissal: None });
        let mut all_known = true;
        let mut newest = answer.heard.reply;
        // The last word counts: who disagrees first may be convinced later.
        let mut last_word = None;
        for reply in new_replies(thread, before) {
            all_known &= permissions.contains_key(&reply.author);
            if may(&reply.author) {
                match stance(&reply.body) {
                    Stance::Disagrees => last_word = Some(reply),
                    Stance::Agrees => last_word = None,
                    Stance::Asks => {}
                }
            }
        }
        newest = thread.replies.iter().map(|reply| reply.id).fold(newest, u64::max);
        let resolver = new_resolver(thread, before);
        all_known &= resolver.is_none_or(|by| permissions.contains_key(by));
        let resolver = resolver.filter(|by| may(by));
        if let Some(reply) = last_word {
            let why = Some(plain::one_line(&reply.body, MAX_WHY)).filter(|why| !why.is_empty());
            answer.dismissal = Some(Dismissal { by: reply.author.clone(), why, at_ms: now_ms });
        } else if let Some(by) = resolver {
            let why = Some("resolved the conversation".to_owned());
            answer.dismissal = Some(Dismissal { by: by.to_owned(), why, at_ms: now_ms });
        }
        let resolved = match thread.resolution {
            Resolution::Unknown => before.resolved,
            Resolution::Open => false,
            Resolution::Resolved { .. } => true,
        };
        match all_known {
            true => answer.heard = Heard { reply: newest, resolved: answer.heard.resolved || resolved },
            false => answer.heard.resolved |= before.resolved,
        }
    }
    answers
}

/// Replies of people that have not been counted yet.
fn new_replies(thread: &Thread, heard: Heard) -> impl Iterator<Item = &Comment> {
    thread.replies.iter().filter(move |reply| reply.id > heard.reply && !is_bot(&reply.author, reply.author_is_bot))
}

/// Who resolved the conversation, if that has not been counted yet.
fn new_resolver(thread: &Thread, heard: Heard) -> Option<&str> {
    match &thread.resolution {
        Resolution::Resolved { by: Some(by) } if !heard.resolved && !is_bot(by, false) => Some(by),
        _ => None,
    }
}

fn is_bot(login: &str, said: bool) -> bool {
    said || login.is_empty() || login.ends_with("[bot]")
}

/// How a reply stands to the finding that it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stance {
    /// It is a fault, or was one.
    Agrees,
    /// It is none, or is to stay.
    Disagrees,
    /// Says neither.
    Asks,
}

/// What neither agrees nor asks disagrees: people answer a finding to say why it is none. Where a reply has words of both
/// kinds, those of disagreement count: "thanks, but that is intended".
fn stance(text: &str) -> Stance {
    /// As whole words, one after the other.
    const DISAGREES: [&str; 32] = [
        "false positive",
        "false alarm",
        "not a bug",
        "not a fault",
        "not a problem",
        "not an issue",
        "no bug",
        "no issue",
        "no problem",
        "not relevant",
        "not applicable",
        "not worth",
        "not fixing",
        "not going to",
        "will not fix",
        "won t",
        "wont",
        "wontfix",
        "don t need to",
        "do not need to",
        "does not apply",
        "doesn t apply",
        "intended",
        "intentional",
        "intentionally",
        "on purpose",
        "by design",
        "as designed",
        "deliberate",
        "disagree",
        "acceptable",
        "accepted risk",
    ];
    const AGREES: [&str; 25] = [
        "fixed",
        "fixing",
        "will fix",
        "ll fix",
        "good catch",
        "nice catch",
        "great catch",
        "good find",
        "nice find",
        "good point",
        "fair point",
        "well spotted",
        "thanks",
        "thank you",
        "thx",
        "done",
        "agreed",
        "addressed",
        "addressing",
        "you re right",
        "makes sense",
        "my bad",
        "will do",
        "on it",
        "working on",
    ];
    /// These agree only where the reply begins with them.
    const BEGINS: [&str; 25] = [
        "fix",
        "i agree",
        "agree",
        "yes",
        "yep",
        "yeah",
        "yup",
        "sure",
        "ok",
        "okay",
        "right",
        "true",
        "correct",
        "indeed",
        "ack",
        "acknowledged",
        "oops",
        "changed",
        "removed",
        "reverted",
        "corrected",
        "updated",
        "resolved",
        "i ll",
        "we ll",
    ];
    let own = own_words(text);
    let own = own.trim();
    let words: Vec<String> =
        own.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    let sentence = format!(" {} ", words.join(" "));
    let says = |phrase: &&str| sentence.contains(&format!(" {phrase} "));
    let begins = |phrase: &&str| sentence.starts_with(&format!(" {phrase} "));
    // An emoji alone, or nothing but a quotation, is no reason to drop a finding; thumbs down are.
    let agrees = words.is_empty() || own == "+1" || AGREES.iter().any(says) || BEGINS.iter().any(begins);
    if own.contains('\u{1f44e}') || DISAGREES.iter().any(says) {
        Stance::Disagrees
    } else if agrees {
        Stance::Agrees
    } else if own.ends_with('?') {
        Stance::Asks
    } else {
        Stance::Disagrees
    }
}

/// The text without what it quotes and without blocks of code.
fn own_words(text: &str) -> String {
    let mut in_code = false;
    let mut own = Vec::new();
    for line in text.lines() {
        let bare = line.trim_start();
        if bare.starts_with("```") || bare.starts_with("~~~") {
            in_code = !in_code;
        } else if !in_code && !bare.starts_with('>') {
            own.push(line);
        }
    }
    own.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: &str = "0011223344556677";

    fn reply(id: u64, author: &str, body: &str) -> Comment {
        Comment {
            id,
            author: author.into(),
            author_is_bot: author.ends_with("[bot]"),
            body: body.into(),
            created_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    fn thread(replies: Vec<Comment>, resolution: Resolution) -> Thread {
        Thread {
            id: 1,
            fingerprint: ME.into(),
            path: "a.rs".into(),
            line: Some(1),
            body: String::new(),
            replies,
            resolution,
        }
    }

    fn resolved(by: Option<&str>) -> Resolution {
        Resolution::Resolved { by: by.map(str::to_owned) }
    }

    fn permissions() -> HashMap<String, Permission> {
        let all = [("mary", Permission::Write), ("admin", Permission::Admin), ("carl", Permission::Read)];
        all.into_iter().chain([("author", Permission::None)]).map(|(name, may)| (name.to_owned(), may)).collect()
    }

    fn answer(thread: Thread, before: Heard) -> Answer {
        let heard = HashMap::from([(ME.to_owned(), before)]);
        answers(&[thread], &heard, &permissions(), 7).remove(ME).unwrap()
    }

    fn dismissed_by(thread: Thread) -> Option<String> {
        answer(thread, Heard::default()).dismissal.map(|dismissal| dismissal.by)
    }

    #[test]
    fn who_may_write_dismisses_and_nobody_else_does() {
        for (who, dismisses) in [
            ("mary", true),
            ("admin", true),
            ("carl", false),
            // The author of the pull request, who may not write.
            ("author", false),
            ("stranger", false),
            ("helper[bot]", false),
            ("", false),
        ] {
            let replied = thread(vec![reply(5, who, "This is a false positive.")], Resolution::Open);
            assert_eq!(dismissed_by(replied).is_some(), dismisses, "reply by {who:?}");
            let resolved = thread(vec![], resolved(Some(who)));
            assert_eq!(dismissed_by(resolved).is_some(), dismisses, "resolution by {who:?}");
        }
        assert_eq!(dismissed_by(thread(vec![], resolved(None))), None);
        assert_eq!(dismissed_by(thread(vec![], Resolution::Unknown)), None);
    }

    #[test]
    fn a_bot_is_none_the_less_one_for_its_permission() {
        let mut bot = reply(5, "mary", "false positive");
        bot.author_is_bot = true;
        assert_eq!(dismissed_by(thread(vec![bot], Resolution::Open)), None);
    }

    #[test]
    fn replies_are_understood() {
        for text in [
            "fixed",
            "Fixed in abc1234.",
            "Good catch!",
            "good catch, thanks",
            "will fix",
            "I'll fix it tomorrow",
            "Agreed.",
            "Thanks!",
            "thank you",
            "done",
            "Done ✅",
            "👍",
            "+1",
            "OK",
            "Yes, you're right",
            "Addressed in the next push",
            "> not a bug\n\nfixed",
            "```\nnot a bug\n```\nfixed",
            "",
            "makes sense",
            "yes, this is not safe",
            "good catch, but I will fix it in another pull request",
        ] {
            assert_eq!(stance(text), Stance::Agrees, "{text:?}");
        }
        for text in [
            "false positive",
            "This is intended.",
            "won't fix",
            "Wontfix",
            "not a bug",
            "That isn't an issue here",
            "Thanks, but this is by design",
            "We agreed that this is acceptable",
            "No.",
            "👎",
            "I disagree",
            "the caller checks this already",
            "This was fixed on purpose like that",
            "ignore this",
            "url is trusted input",
            "Not going to be fixed",
            "the flag is true in production",
        ] {
            assert_eq!(stance(text), Stance::Disagrees, "{text:?}");
        }
        for text in ["Can you show how?", "why?", "@alice what do you think?"] {
            assert_eq!(stance(text), Stance::Asks, "{text:?}");
        }
    }

    #[test]
    fn the_last_word_of_those_who_may_counts() {
        let no = |id, who| reply(id, who, "false positive");
        let yes = |id, who| reply(id, who, "good catch");
        assert_eq!(dismissed_by(thread(vec![no(1, "mary"), yes(2, "admin")], Resolution::Open)), None);
        assert_eq!(dismissed_by(thread(vec![yes(1, "mary"), no(2, "admin")], Resolution::Open)), Some("admin".into()));
        assert_eq!(dismissed_by(thread(vec![no(1, "mary"), yes(2, "carl")], Resolution::Open)), Some("mary".into()));
        let asked = reply(2, "mary", "or is it?");
        assert_eq!(dismissed_by(thread(vec![no(1, "mary"), asked], Resolution::Open)), Some("mary".into()));
    }

    #[test]
    fn what_was_heard_once_is_not_counted_again() {
        let said = || thread(vec![reply(5, "mary", "false positive")], resolved(Some("admin")));
        let first = answer(said(), Heard::default());
        assert_eq!(first.heard, Heard { reply: 5, resolved: true });
        assert_eq!(first.dismissal.unwrap().why.unwrap(), "false positive");
        let again = answer(said(), first.heard);
        assert_eq!(again, Answer { heard: first.heard, dismissal: None });
        // Opened and resolved once more, or replied to once more.
        let opened = answer(thread(vec![reply(5, "mary", "false positive")], Resolution::Open), first.heard);
        assert_eq!(opened.heard, Heard { reply: 5, resolved: false });
        assert!(answer(said(), opened.heard).dismissal.is_some());
        let more = vec![reply(5, "mary", "false positive"), reply(9, "mary", "still none")];
        assert!(answer(thread(more, resolved(Some("admin"))), first.heard).dismissal.is_some());
    }

    #[test]
    fn whoever_could_not_be_looked_up_is_heard_the_next_time() {
        let unknown = thread(vec![reply(5, "newcomer", "false positive")], Resolution::Open);
        let found = answer(unknown, Heard { reply: 3, resolved: true });
        assert_eq!(found, Answer { heard: Heard { reply: 3, resolved: true }, dismissal: None });
        assert_eq!(
            people(
                &[thread(vec![reply(5, "x", ""), reply(2, "old", "")], resolved(Some("y")))],
                &HashMap::from([(ME.to_owned(), Heard { reply: 3, resolved: false })])
            ),
            BTreeSet::from(["x".to_owned(), "y".to_owned()])
        );
    }

    #[test]
    fn a_reply_is_kept_as_one_harmless_line() {
        let said = thread(vec![reply(5, "mary", "false\npositive \u{1b}[2J\u{202e}x")], Resolution::Open);
        assert_eq!(answer(said, Heard::default()).dismissal.unwrap().why.unwrap(), "false positive x");
    }
}
