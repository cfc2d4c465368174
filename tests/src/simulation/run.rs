//! One run: who takes the next step is drawn, until there have been enough; then everybody finishes what was begun, and
//! the books are looked at.

mod farewell;

use super::account::Wrong;
use super::chance::Chance;
use super::client::{Character, Client};
use super::conditions::Conditions;
use super::node::Node;
use super::plan::{INSTANCES, Plan};
use super::scene::Scene;
use super::site::EPOCH_MILLIS;

/// Turns of everybody after which a run must have come to rest.
const ENDING_MAX: usize = 4_000;

/// What one run showed.
#[derive(Clone, Default, Debug)]
pub struct Outcome {
    /// What was wrong, if anything was, with the last things that happened before.
    pub wrong: Option<(Wrong, String)>,
    /// One number for all that happened.
    pub digest: u64,
    /// How often the machine stopped.
    pub crashes: usize,
    /// How often it found an unfinished end of what it had not synced.
    pub cuts: usize,
    /// How often its disk began to fail in some way, or ceased to.
    pub faults: usize,
    /// Messages that were acknowledged to their publishers.
    pub acknowledged: usize,
    /// First deliveries.
    pub delivered: u64,
    /// Deliveries that were repeated, as QoS 1 allows.
    pub repeated: u64,
    /// Messages that sessions did not get, as they were told: expired ones, and those that were too many.
    pub passed_over: u64,
    /// Wills that were published.
    pub wills: u64,
    /// Messages that groups were owed.
    pub shared: u64,
}

impl Outcome {
    /// Adds what another run has done.
    pub fn add(&mut self, other: &Self) {
        self.crashes += other.crashes;
        self.cuts += other.cuts;
        self.faults += other.faults;
        self.acknowledged += other.acknowledged;
        self.delivered += other.delivered;
        self.repeated += other.repeated;
        self.passed_over += other.passed_over;
        self.wills += other.wills;
        self.shared += other.shared;
    }
}

/// A run and what is in it.
pub struct Run {
    plan: Plan,
    scene: Scene,
    node: Node,
    clients: Vec<Client>,
}

/// The run of a seed.
#[must_use]
pub fn run(seed: u64, conditions: Conditions) -> Outcome {
    Run::new(seed, conditions).to_its_end()
}

impl Run {
    /// Nothing has happened.
    #[must_use]
    pub fn new(seed: u64, conditions: Conditions) -> Self {
        let mut chance = Chance::new(seed);
        let plan = Plan::draw(&mut chance);
        let mut run = Self {
            node: Node::new(&plan, conditions),
            scene: Scene::new(chance.fork()),
            clients: Vec::new(),
            plan: plan.clone(),
        };
        run.scene.account.session_expiry_millis = u64::from(plan.session_expiry_secs) * 1_000;
        for character in plan.clients {
            run.add(character);
        }
        run
    }

    fn add(&mut self, character: Character) {
        let name = (character.instance, character.client_id.clone());
        self.scene.account.add_client(name, character.lasting);
        self.clients.push(Client::new(self.clients.len(), character));
    }

    /// Everything that happens.
    #[must_use]
    pub fn to_its_end(mut self) -> Outcome {
        let wrong = self.play().err();
        let account = &self.scene.account;
        Outcome {
            digest: self.scene.trace.digest(),
            crashes: self.node.crashes,
            cuts: self.node.cuts,
            faults: self.node.faults_seen,
            acknowledged: account.acknowledged_messages(),
            delivered: account.delivered,
            repeated: account.repeated,
            passed_over: account.passed_over,
            wills: account.wills,
            shared: account.shared,
            wrong: wrong.map(|wrong| (wrong, self.scene.trace.tail())),
        }
    }

    fn play(&mut self) -> Result<(), Wrong> {
        for _ in 0..self.plan.steps {
            self.step()?;
            self.scene.account.check()?;
        }
        self.finish()?;
        self.scene.account.settled()?;
        let unfinished = self.node.unfinished_groups();
        if !unfinished.is_empty() {
            return Err(format!("not all was handed out: {unfinished:?}"));
        }
        self.check_retained()?;
        let lasting = self.clients.iter().filter(|client| client.character.lasting).count();
        if self.node.sessions() > lasting {
            return Err(format!("{} sessions of {lasting} clients", self.node.sessions()));
        }
        self.leave_for_good()
    }

    fn step(&mut self) -> Result<(), Wrong> {
        let scene = &mut self.scene;
        if !self.node.is_up() {
            if scene.chance.permille(100) {
                let steps = scene.chance.below(20) as u64;
                self.node.doom(steps);
            }
            if !self.node.start(scene)? {
                self.node.crash(scene);
                // Somebody sees to the disk.
                if scene.chance.permille(200) {
                    self.node.heal();
                }
            }
            return Ok(());
        }
        if scene.chance.below(10_000) < self.plan.crashes_per_10_000 {
            match scene.chance.below(3) {
                0 => self.node.crash(scene),
                // While it writes what has gathered.
                1 => self.node.crash_writing(scene)?,
                _ => {
                    let steps = scene.chance.below(6) as u64;
                    self.node.doom(steps);
                }
            }
            return Ok(());
        }
        if (self.node.is_doomed() || self.node.has_failed()) && scene.chance.permille(50) {
            self.node.crash(scene);
            return Ok(());
        }
        if scene.chance.below(10_000) < self.plan.faults_per_10_000 {
            self.node.change_faults(scene);
            return Ok(());
        }
        match scene.chance.below(100) {
            0..30 => {
                let at = scene.chance.below(self.clients.len());
                self.clients[at].act(scene);
            }
            30..56 => self.read()?,
            56..60 => self.node.accept(scene)?,
            60..78 => self.node.round(scene)?,
            78..88 => {
                if scene.chance.permille(self.plan.log_permille) {
                    self.node.step_log(scene)?;
                }
            }
            88..97 => drop(self.node.look_up(scene)),
            97 => self.node.step_view(false, scene),
            98 => self.node.step_view(true, scene),
            _ => {
                let millis = 1 + scene.chance.draw() % 5_000;
                self.node.pass(millis, scene);
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(), Wrong> {
        let scene = &mut self.scene;
        let called: Vec<_> = (self.clients.iter().enumerate())
            .filter(|(_, client)| client.wire().is_some_and(|wire| scene.wires[wire].calls_client()))
            .map(|(at, _)| at)
            .collect();
        if called.is_empty() {
            return Ok(());
        }
        let at = *scene.chance.one_of(&called);
        self.clients[at].read(scene)
    }

    /// Everybody finishes what was begun.
    fn finish(&mut self) -> Result<(), Wrong> {
        self.scene.is_ending = true;
        self.scene.trace.note(format_args!("the end begins"));
        self.node.heal();
        self.be_up()?;
        self.come_to_rest()
    }

    /// The node runs and is well.
    fn be_up(&mut self) -> Result<(), Wrong> {
        if self.node.is_doomed() || self.node.has_failed() {
            self.node.crash(&mut self.scene);
        }
        if !self.node.is_up() && !self.node.start(&mut self.scene)? {
            return Err("the node does not start".to_owned());
        }
        Ok(())
    }

    fn come_to_rest(&mut self) -> Result<(), Wrong> {
        for turn in 0..ENDING_MAX {
            let before = self.scene.trace.now();
            self.turn(turn)?;
            self.scene.account.check()?;
            let is_over = before == self.scene.trace.now()
                && self.node.is_idle()
                && self.node.unfinished_groups().is_empty()
                && self.scene.opened.is_empty()
                && self.clients.iter().all(|client| !client.must_settle() || client.is_settled());
            if is_over {
                return Ok(());
            }
        }
        Err("it never comes to rest".to_owned())
    }

    /// Everybody does what there is to be done.
    fn turn(&mut self, turn: usize) -> Result<(), Wrong> {
        let scene = &mut self.scene;
        while !scene.opened.is_empty() {
            self.node.accept(scene)?;
        }
        for client in &mut self.clients {
            client.finish(scene);
            while client.wire().is_some_and(|wire| scene.wires[wire].calls_client()) {
                client.read(scene)?;
            }
        }
        self.turn_of_node(turn)
    }

    fn turn_of_node(&mut self, turn: usize) -> Result<(), Wrong> {
        let scene = &mut self.scene;
        self.node.rounds(scene)?;
        while self.node.step_log(scene)? {}
        while self.node.look_up(scene) {}
        if turn % 16 == 15 {
            self.node.step_view(turn % 32 == 31, scene);
        }
        Ok(())
    }

    /// A newcomer in each instance gets exactly what is retained.
    fn check_retained(&mut self) -> Result<(), Wrong> {
        for instance in 0..INSTANCES {
            let at = self.clients.len();
            self.add(Character::newcomer(instance));
            let expected = self.scene.account.retained(instance, EPOCH_MILLIS + self.scene.millis);
            self.finish_newcomer(at)?;
            let found = self.scene.account.retained_had(at);
            if expected != found {
                return Err(format!("instance {instance} retains {expected:?} and a newcomer got {found:?}"));
            }
        }
        Ok(())
    }

    fn finish_newcomer(&mut self, at: usize) -> Result<(), Wrong> {
        for (filter, turns) in [("", 4), ("#", 4), ("$e/#", 4)] {
            if let Ok(filter) = filter.parse() {
                self.clients[at].subscribe(&filter, &mut self.scene);
            } else {
                self.clients[at].act(&mut self.scene);
            }
            for turn in 0..turns * 10 {
                self.turn(turn)?;
            }
        }
        Ok(())
    }
}
