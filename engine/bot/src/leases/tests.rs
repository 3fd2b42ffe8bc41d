use super::*;

fn lease(id: &str, state: LeaseState) -> Lease {
    Lease { id: id.into(), state: state.into(), ..Default::default() }
}

/// Takes one lease and tells the server that it runs.
fn running(id: &str) -> (Leases, Start) {
    let mut leases = Leases::default();
    let mut absorbed = leases.absorb(vec![lease(id, LeaseState::Pending)], &Sent::default(), false);
    let (_, sent) = leases.report();
    leases.absorb(vec![lease(id, LeaseState::Active)], &sent, false);
    (leases, absorbed.start.remove(0))
}

fn reported(leases: &Leases) -> Vec<(String, i32)> {
    leases.report().0.into_iter().map(|lease| (lease.id, lease.state)).collect()
}

const ACTIVE: i32 = LeaseState::Active as i32;
const COMPLETED: i32 = LeaseState::Completed as i32;

#[test]
fn pending_and_active_leases_are_both_begun_and_told_as_active() {
    let mut leases = Leases::default();
    let offers = vec![lease("a", LeaseState::Pending), lease("b", LeaseState::Active)];
    let absorbed = leases.absorb(offers, &Sent::default(), false);
    assert_eq!(absorbed.start.len(), 2);
    assert_eq!(reported(&leases), [("a".into(), ACTIVE), ("b".into(), ACTIVE)]);
    assert!(leases.has_news());
}

#[test]
fn a_lease_that_is_listed_again_is_not_begun_again() {
    let (mut leases, _) = running("a");
    let (_, sent) = leases.report();
    let absorbed = leases.absorb(vec![lease("a", LeaseState::Active)], &sent, false);
    assert!(absorbed.start.is_empty() && !absorbed.changed);
    assert!(!leases.has_news());
}

#[test]
fn a_result_is_repeated_until_the_server_no_longer_lists_the_lease() {
    let (mut leases, start) = running("a");
    assert!(leases.finish("a", start.serial, Report::default()));
    for _ in 0..3 {
        let (_, sent) = leases.report();
        leases.absorb(vec![lease("a", LeaseState::Active)], &sent, false);
        assert_eq!(reported(&leases), [("a".into(), COMPLETED)]);
    }
    let (_, sent) = leases.report();
    leases.absorb(vec![], &sent, false);
    assert!(leases.is_empty());
}

#[test]
fn a_result_that_came_after_the_update_was_sent_is_not_taken_as_acknowledged() {
    let (mut leases, start) = running("a");
    let (_, sent) = leases.report();
    leases.finish("a", start.serial, Report::default());
    leases.absorb(vec![lease("a", LeaseState::Active)], &sent, false);
    assert_eq!(reported(&leases), [("a".into(), COMPLETED)]);
    assert!(leases.has_news());
}

#[test]
fn a_lease_that_vanishes_is_killed_and_forgotten_and_its_late_end_means_nothing() {
    let (mut leases, start) = running("a");
    let (_, sent) = leases.report();
    assert!(leases.absorb(vec![], &sent, false).changed);
    assert!(start.killed.is_cancelled());
    assert!(leases.is_empty());
    assert!(!leases.finish("a", start.serial, Report::default()));
}

#[test]
fn a_cancelled_lease_holds_its_slot_until_its_work_has_ended() {
    let (mut leases, start) = running("a");
    let (_, sent) = leases.report();
    leases.absorb(vec![lease("a", LeaseState::Cancelled)], &sent, false);
    assert!(start.killed.is_cancelled());
    assert_eq!(reported(&leases), [("a".into(), ACTIVE)]);
    assert!(leases.finish("a", start.serial, Report::default()));
    assert!(leases.is_empty());
    assert!(leases.has_news(), "the server should hear at once that the slot is free");
}

#[test]
fn a_lease_offered_again_after_it_was_taken_away_is_new_work() {
    let (mut leases, first) = running("a");
    let (_, sent) = leases.report();
    leases.absorb(vec![], &sent, false);
    let (_, sent) = leases.report();
    let absorbed = leases.absorb(vec![lease("a", LeaseState::Pending)], &sent, false);
    assert_eq!(absorbed.start.len(), 1);
    assert!(
        !leases.finish("a", first.serial, Report::default()),
        "the end of the first work is not that of the second"
    );
    assert_eq!(reported(&leases), [("a".into(), ACTIVE)]);
}

#[test]
fn while_draining_offers_are_handed_straight_back_as_retryable() {
    let mut leases = Leases::default();
    let absorbed = leases.absorb(vec![lease("a", LeaseState::Pending)], &Sent::default(), true);
    assert!(absorbed.start.is_empty());
    let (told, sent) = leases.report();
    assert_eq!(told[0].state, COMPLETED);
    assert_eq!(told[0].status.as_ref().unwrap().code, Code::Unavailable as i32);
    leases.absorb(vec![], &sent, true);
    assert!(leases.is_empty());
}

#[test]
fn a_new_session_that_adopts_some_leases_ends_the_others() {
    let (mut leases, adopted) = running("a");
    let (_, sent) = leases.report();
    let lost = leases.absorb(vec![lease("a", LeaseState::Active), lease("b", LeaseState::Pending)], &sent, false);
    leases.forget_told();
    assert!(leases.has_news());
    let (_, sent) = leases.report();
    leases.absorb(vec![lease("a", LeaseState::Active)], &sent, false);
    assert!(!adopted.killed.is_cancelled());
    assert!(lost.start[0].killed.is_cancelled());
    assert_eq!(reported(&leases), [("a".into(), ACTIVE)]);
}
