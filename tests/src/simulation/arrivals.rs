//! What has come to a worker is taken in: messages of other workers, those of the log in its order, what became of its
//! own batches, and what was looked up.

use engine::{CommittedBatches, Envelope, Envelopes, Pos, Replayed, RetainedPage};
use router::ClientKey;
use session::Lasting;

use super::account::Wrong;
use super::doors::Arrival;
use super::paging::{Page, PageWanted};
use super::scene::Scene;
use super::site::{Found, Looked, Site, Wanted, instance_at};
use super::surroundings::Name;
use super::worker::Worker;

impl Worker {
    pub(super) fn take_arrivals(&mut self, site: &Site, scene: &mut Scene) -> Result<(), Wrong> {
        let (arrivals, watermark) = site.doors.drain(self.at());
        for arrival in arrivals {
            match arrival {
                Arrival::Crossed(batch) => {
                    for envelope in Envelopes::read(&batch).map_err(wrong)? {
                        let envelope = envelope.map_err(wrong)?;
                        self.take_in(None, &envelope, site, scene)?;
                    }
                }
                Arrival::Committed(batches) => self.take_committed(&batches, site, scene)?,
                Arrival::Settled(settled) => {
                    scene.trace.note(format_args!("worker {} hears {settled:?}", self.at()));
                    self.settle(settled.is_ok(), site, scene);
                }
                Arrival::Looked(looked) => self.take_looked(looked, site, scene)?,
                Arrival::Said(mail) => self.take_mail(&mail, site),
            }
        }
        self.watermark = watermark;
        Ok(())
    }

    fn take_committed(
        &mut self,
        batches: &CommittedBatches,
        site: &Site,
        scene: &mut Scene,
    ) -> Result<(), Wrong> {
        for batch in batches.iter() {
            for (index, envelope) in (0..).zip(batch.batch.iter()) {
                let envelope = envelope.map_err(wrong)?;
                self.take_in(Some(Pos { record: batch.record, index }), &envelope, site, scene)?;
            }
            self.watermark = batch.next();
        }
        Ok(())
    }

    fn take_in(
        &mut self,
        pos: Option<Pos>,
        envelope: &Envelope<'_>,
        site: &Site,
        scene: &mut Scene,
    ) -> Result<(), Wrong> {
        let instance = instance_at(envelope.instance).ok_or("a message of no instance")?;
        self.route_here(instance, pos, envelope, site, &mut scene.account);
        Ok(())
    }

    fn take_looked(&mut self, looked: Looked, site: &Site, scene: &mut Scene) -> Result<(), Wrong> {
        let Looked { client, wanted, found } = looked;
        match (wanted, found) {
            (Wanted::Page(wanted), Found::Page(page)) if Self::is_group(client) => {
                self.take_group_page(client, &wanted, page, site, scene)
            }
            (Wanted::Page(wanted), Found::Page(Ok(page))) => {
                self.take_page(client, &wanted, &page, site, scene)
            }
            (Wanted::Page(..), Found::Page(Err(error))) => {
                scene.trace.note(format_args!("no page for {client:?}: {error}"));
                self.call(client, site, scene, |session, _, _| session.give_up_page());
                Ok(())
            }
            (wanted, Found::Retained(Ok(page))) => self.take_retained(client, wanted, page, site, scene),
            (_, Found::Retained(Err(error))) => Err(format!("nothing retained can be looked up: {error}")),
            (Wanted::Retained(..), Found::Page(_)) => Err("what was found was not wanted".to_owned()),
        }
    }

    fn take_page(
        &mut self,
        client: ClientKey,
        wanted: &PageWanted,
        page: &Page,
        site: &Site,
        scene: &mut Scene,
    ) -> Result<(), Wrong> {
        let Some(name) = self.name_of(client) else { return Ok(()) };
        scene.trace.note(format_args!(
            "{client:?} has a page of {} up to {}, begins {:?} passed {:?} skip {:?} lost {}",
            page.messages.len(),
            page.next,
            page.begins,
            page.passed,
            page.skip,
            page.lost
        ));
        see_what_is_passed_over(&name, wanted, page, site, scene)?;
        if page.overflows {
            scene.account.overflowed(&name);
            self.doom(&name);
            self.end(client, site, scene);
            return Ok(());
        }
        let glue = site.conditions.glue;
        let read = page.messages.iter().map(|replayed| read(replayed, glue.see_expiry));
        let messages = read.collect::<Result<Vec<_>, Wrong>>()?;
        let (watermark, now) = (self.watermark, site.time_of_day());
        let begins = if glue.pass_over_what_is_counted {
            page.begins
        } else {
            page.begins.map(|begins| Pos::of_record(begins.record + 1))
        };
        let mut next = Pos::START;
        self.call(client, site, scene, |session, rendering, sink| {
            if let Some(begins) = begins {
                session.skip_to(begins);
            }
            session.take_page(messages, page.next, watermark, now, rendering, sink);
            next = session.lasting().map_or(Pos::START, Lasting::next);
        });
        self.set_skip(&name, page.skip.filter(|(_, end)| next < *end));
        Ok(())
    }

    fn take_retained(
        &mut self,
        client: ClientKey,
        wanted: Wanted,
        page: RetainedPage,
        site: &Site,
        scene: &mut Scene,
    ) -> Result<(), Wrong> {
        let Wanted::Retained(filter, granted, _) = wanted else {
            return Err("no page was wanted".to_owned());
        };
        let Some((instance, _)) = self.name_of(client) else { return Ok(()) };
        for replayed in &page.messages {
            let envelope = Envelope::from_record(&replayed.record).map_err(wrong)?;
            self.call(client, site, scene, |session, rendering, sink| {
                let mut message = rendering.retained(envelope.topic, envelope.payload, envelope.qos);
                let _ = session.deliver_retained(&mut message, granted, sink.output);
            });
        }
        if page.next.is_some() {
            self.look_up(site, client, instance, Wanted::Retained(filter, granted, page.next));
        }
        Ok(())
    }
}

/// The books are told what a session will not have.
fn see_what_is_passed_over(
    name: &Name,
    wanted: &PageWanted,
    page: &Page,
    site: &Site,
    scene: &mut Scene,
) -> Result<(), Wrong> {
    let filters = &wanted.filters;
    if page.lost {
        if site.plan.faults_per_10_000 == 0 {
            return Err("a part of the log is said to be lost".to_owned());
        }
        scene.account.lost(name, filters, &wanted.range);
    }
    let (Some((passed, said)), Some(bounds)) = (&page.passed, wanted.bounds) else { return Ok(()) };
    if page.lost {
        return Ok(());
    }
    let waited = scene.account.selected(name.0, filters, &wanted.range);
    if waited.messages <= bounds.messages && waited.bytes <= bounds.bytes {
        return Err(format!("{waited:?} is not too much for {bounds:?}"));
    }
    scene.account.dropped(name, filters, passed, *said);
    let left = waited.messages - said.min(&waited.messages);
    if left > bounds.messages {
        return Err(format!("{left} messages are left of {bounds:?}"));
    }
    Ok(())
}

fn read(replayed: &Replayed, see_expiry: bool) -> Result<(Pos, Envelope<'_>), Wrong> {
    let mut envelope = Envelope::from_record(&replayed.record).map_err(wrong)?;
    envelope.expires_at = envelope.expires_at.filter(|_| see_expiry);
    Ok((replayed.pos, envelope))
}

fn wrong(error: impl std::fmt::Display) -> Wrong {
    format!("what is not readable: {error}")
}
