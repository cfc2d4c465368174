//! What has come to a worker is taken in: messages of other workers, those of the log in its order, what became of its
//! own batches, and what was looked up.

use engine::{CommittedBatches, Envelope, Envelopes, Pos, ReplayPage, RetainedPage};
use router::ClientKey;

use super::account::Wrong;
use super::doors::Arrival;
use super::scene::Scene;
use super::site::{Found, Looked, Site, Wanted, instance_at};
use super::worker::Worker;

impl Worker {
    pub(super) fn take_arrivals(&mut self, site: &Site, scene: &mut Scene) -> Result<(), Wrong> {
        let (arrivals, watermark) = site.doors.drain(self.at());
        for arrival in arrivals {
            match arrival {
                Arrival::Crossed(batch) => {
                    for envelope in Envelopes::read(&batch).map_err(wrong)? {
                        let envelope = envelope.map_err(wrong)?;
                        self.take_in(None, &envelope, site)?;
                    }
                }
                Arrival::Committed(batches) => self.take_committed(&batches, site)?,
                Arrival::Settled(settled) => {
                    scene.trace.note(format_args!("worker {} hears {settled:?}", self.at()));
                    self.settle(settled.is_ok(), site, scene);
                }
                Arrival::Looked(looked) => self.take_looked(looked, site, scene)?,
            }
        }
        self.watermark = watermark;
        Ok(())
    }

    fn take_committed(&mut self, batches: &CommittedBatches, site: &Site) -> Result<(), Wrong> {
        for batch in batches.iter() {
            for (index, envelope) in (0..).zip(batch.batch.iter()) {
                let envelope = envelope.map_err(wrong)?;
                self.take_in(Some(Pos { record: batch.record, index }), &envelope, site)?;
            }
            self.watermark = batch.next();
        }
        Ok(())
    }

    fn take_in(&mut self, pos: Option<Pos>, envelope: &Envelope<'_>, site: &Site) -> Result<(), Wrong> {
        let instance = instance_at(envelope.instance).ok_or("a message of no instance")?;
        self.route_here(instance, pos, envelope, site);
        Ok(())
    }

    fn take_looked(&mut self, looked: Looked, site: &Site, scene: &mut Scene) -> Result<(), Wrong> {
        let Looked { client, wanted, found } = looked;
        match (wanted, found) {
            (Wanted::Page(..), Found::Page(Ok(page))) => self.take_page(client, &page, site, scene),
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
        page: &ReplayPage,
        site: &Site,
        scene: &mut Scene,
    ) -> Result<(), Wrong> {
        if page.lost && !site.is_damaged {
            return Err("a part of the log is said to be lost".to_owned());
        }
        scene.trace.note(format_args!(
            "{client:?} has a page of {} up to {}",
            page.messages.len(),
            page.next
        ));
        let messages: Result<Vec<_>, _> = (page.messages.iter())
            .map(|replayed| Ok((replayed.pos, Envelope::from_record(&replayed.record).map_err(wrong)?)))
            .collect::<Result<_, Wrong>>();
        let messages = messages?;
        let (watermark, now) = (self.watermark, site.time_of_day());
        self.call(client, site, scene, |session, rendering, sink| {
            session.take_page(messages, page.next, watermark, now, rendering, sink);
        });
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
        let Some(instance) = self.instance_of(client) else { return Ok(()) };
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

fn wrong(error: impl std::fmt::Display) -> Wrong {
    format!("what is not readable: {error}")
}
