use std::time::Duration;

use super::*;
use crate::serve::trials::TrialQuery;
use crate::serve::watched::Source;
use zo_search::sharing::HeldClaim;
use zo_search::{Header, RandomSearch, Space, Study};

/// A study in a journal of its own, with two objectives if so wanted.
fn watched(folder: &std::path::Path, objectives: usize) -> Result<Watched, Box<dyn std::error::Error>> {
    let path = folder.join("journal.jsonl");
    let strategy = RandomSearch::new(Space::new().float("x", 0.0..=1.0), 1);
    let mut study = Study::create(&path, Header::new("parts", 1), strategy)?;
    for _ in 0..30 {
        let trial = study.ask()?;
        let x = trial.point.float("x")?;
        study.tell(trial.id, Outcome::scores([x, 1.0 - x, 0.5 * x].get(..objectives).unwrap_or_default()))?;
    }
    Ok(Watched::open(Source::at(&path))?)
}

/// A worker with claims under these attempts and leases, in seconds.
fn named(name: &str, claims: &[(u32, Option<u64>)]) -> Result<WorkerState, serde_json::Error> {
    let info = serde_json::json!({ "id": name, "host": "node-1", "process": 7, "device": "cuda:0" });
    let claim = |(attempt, lease): &(u32, Option<u64>)| HeldClaim {
        key: "trial-7".into(),
        attempt: *attempt,
        lease: lease.map(Duration::from_secs),
    };
    let claims = claims.iter().map(claim).collect();
    Ok(WorkerState { info: serde_json::from_value(info)?, silent: Duration::from_secs(3), claims, ended: false })
}

#[test]
fn a_worker_is_lost_when_a_lease_has_run_out_and_idle_without_a_task() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let (watched, pages) = (watched(folder.path(), 1)?, Pages::new()?);
    let mut workers = vec![
        named("working", &[(1, Some(12)), (2, Some(90))])?,
        named("idle", &[])?,
        named("lost", &[(1, Some(5)), (1, None)])?,
        WorkerState { ended: true, ..named("gone", &[])? },
    ];
    let html = pages.workers(&watched, None, &workers)?;
    let expected = [
        "mark working",
        "12 s left",
        "trial-7, trial-7 (attempt 2)",
        "mark idle",
        "<td>none</td>",
        "mark lost",
        "has run out",
        "3 s ago",
        "1 of 3 workers lost",
        "1 more have ended",
    ];
    for content in expected {
        assert!(html.contains(content), "{content}: {html}");
    }
    assert!(!html.contains("gone"), "{html}");
    workers.remove(2);
    assert!(!pages.workers(&watched, None, &workers)?.contains("lost"));
    Ok(())
}

#[test]
fn only_several_objectives_have_a_front_and_only_two_a_picture_of_it() -> Result<(), Box<dyn std::error::Error>> {
    let pages = Pages::new()?;
    for (objectives, picture) in [(1, false), (2, true), (3, false)] {
        let folder = tempfile::tempdir()?;
        let html = pages.front(&watched(folder.path(), objectives)?)?;
        assert_eq!(html.contains("<svg"), picture, "{objectives}: {html}");
        assert_eq!(html.contains("<th scope=\"col\">objective 1</th>"), objectives > 1, "{html}");
        assert_eq!(html.is_empty(), objectives == 1);
    }
    Ok(())
}

#[test]
fn an_open_trial_keeps_its_page_and_closes_to_where_the_reader_was() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let (watched, pages) = (watched(folder.path(), 1)?, Pages::new()?);
    let closed = pages.trials(&watched, TrialQuery::default())?;
    assert!(closed.contains("href=\"?before=30&amp;trial=12#trial-12\""), "{closed}");
    let open = pages.trials(&watched, TrialQuery::parse(Some("before=30&trial=12")))?;
    assert!(open.contains("aria-expanded=\"true\"") && open.contains("<dt>x</dt>"), "{open}");
    assert!(open.contains("href=\"?before=30#trial-12\""), "{open}");
    Ok(())
}
