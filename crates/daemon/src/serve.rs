//! `ivrpay serve`: brings everything up, takes calls until it is told to stop, lets those that are on end, and gives every caller back.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ivrpay_agi::Listener;
use ivrpay_api as api;
use ivrpay_dialogue::{CallResult, Command};
use ivrpay_journal::{Journal, OpenOptions};
use ivrpay_payment::{CallId, PaymentId, TenantId};
use ivrpay_web::{CallbackRefused, Drains as _, NotCalled, NotStarted, ToStart, Web};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::arguments;
use crate::breaker::Breaker;
use crate::call::{self, Shared};
use crate::cancels::Cancels;
use crate::config::Config;
use crate::desk::{self, Desks};
use crate::drain::{BEAT, Drain, Pulse};
use crate::events::{self, Events};
use crate::guard::Guard;
use crate::health::Health;
use crate::lamps::Lamps;
use crate::outbound::{self, Mark, Outbound};
use crate::pairs::{Leg, Pairs};
use crate::paykey::{self, PayKey};
use crate::pools::{NoPlace, Pools};
use crate::quarantine;
use crate::recorders::Recorders;
use crate::routing::Wish;
use crate::settle::{Route, Settle};
use crate::spies::{self, Spies};
use crate::tasks;
use crate::tries::Tries;

/// Calls that may wait to be taken while others are being started; one more is refused.
const STARTS_MAX: usize = 64;

/// Longest that the calls which are left at a shutdown, and those that come during it, may take to be given back.
const GIVE_BACK_MAX: Duration = Duration::from_secs(5);

/// How often is looked whether anything still runs, once no new call is taken.
const DRAIN_LOOK: Duration = Duration::from_millis(200);

/// Longest that the last answers of the API may take at a shutdown.
const SERVERS_MAX: Duration = Duration::from_secs(3);

/// How often waiting payments are looked through for those that have waited too long, and metrics are tidied.
const HOUSEKEEPING: Duration = Duration::from_secs(5);

/// Runs the service until SIGTERM or SIGINT, or until it was drained.
///
/// # Errors
/// What kept it from starting, with what to do.
pub async fn serve(
    config: Config,
    secret_memory: ivrpay_secret::Report,
    protections: &[ivrpay_secret::Protection],
) -> anyhow::Result<()> {
    crate::install_crypto();
    let config = Arc::new(config);
    let health = Health::new(Arc::clone(&config), &secret_memory, protections);
    let metrics = metrics_recorder()?;
    let instance = uuid::Uuid::now_v7().to_string();
    events::starting(&instance, secret_memory.backing.name());
    if secret_memory.backing.is_locked() {
        events::secret_memory_locked();
    } else {
        events::secret_memory_not_locked();
    }
    events::protections(protections);

    let today = crate::guard::today();
    for exception in &config.guard_exceptions {
        events::exception(exception, today);
    }

    let mut options = OpenOptions::new(&config.daemon);
    options.lease = config.lease;
    options.task_rules = config
        .tenants
        .iter()
        .map(|tenant| (tenant.id.clone(), tenant.task_rules.clone()))
        .collect();
    let journal = Journal::open(&config.journal_at, options)
        .await
        .map_err(|error| {
            anyhow::anyhow!(
                "the journal {}: {error}\nhint: {}",
                config.journal_at,
                error.hint()
            )
        })?;
    let recovered = journal
        .recover()
        .await
        .context("the journal could not be recovered")?;
    events::recovered(recovered.unknown.len(), recovered.released.len());
    crate::live::guard(&config, &journal).await?;

    let tries = Tries::new(config.limits.tries_per_card_per_day, Instant::now())?;
    let settle = Settle::new(journal.clone(), routes(&config)?, tries)
        .context("no thread for the acquirers; raise TasksMax and LimitNPROC of the service")?;
    let stream = Events::new();
    let mut ari = config.ari.clone();
    ari.starts_max = STARTS_MAX;
    // New calls are refused from the first on; the API answers until the second.
    let (stopping, closing) = (CancellationToken::new(), CancellationToken::new());
    let on = Arc::new(AtomicUsize::new(0));
    let pools = Pools::new(&config, &journal);
    let connected = Arc::new(AtomicBool::new(false));
    let (drain, pulse) = (Drain::new(config.limits.drain_limit.0), Pulse::new());
    let servers = TaskTracker::new();
    let cancels = Cancels::default();
    // The API listens before Asterisk is reached.
    let caller = Arc::new(Caller::default());
    let talks = Arc::new(Talks {
        there: OnceLock::new(),
        accounts: config.twilio.clone(),
    });
    let web = web(
        &config,
        &journal,
        &settle,
        &stream,
        &cancels,
        &metrics,
        &on,
        &pools,
        &connected,
        &drain,
        &pulse,
        &closing,
        &caller,
        &talks,
        &health,
        secret_memory.backing.name(),
    );
    listen(&config, web, &servers, &closing).await?;
    let keys = match &config.agi {
        None => None,
        Some(agi) => {
            let bound = Listener::bind(agi.listen, agi.allowed.clone(), agi.calls_max).await;
            Some(bound.map_err(|error| {
                anyhow::anyhow!("[agi] listen: {error}\nhint: {}", error.hint())
            })?)
        }
    };
    // Callers come from here on: nothing that can keep the service from starting may follow.
    let (client, calls) = ivrpay_ari::connect(ari)
        .map_err(|error| anyhow::anyhow!("{error}\nhint: {}", error.hint()))?;
    let ivrpay_ari::Calls {
        mut starts,
        mut refusals,
        status,
        stop: halt,
        counters,
        ..
    } = calls;
    watch(status, &connected, &stopping, &servers);
    housekeeping(settle.clone(), metrics, counters, &stopping, &servers);
    tasks::watch(journal.clone(), stream.clone(), &stopping, &servers);
    crate::expiring::watch(&config, journal.clone(), &stopping, &servers);
    crate::recovery::watch(&settle, &stopping, &servers);
    crate::anchor::watch(journal.clone(), stopping.clone(), &servers);
    crate::webhooks::watch(&config, &journal, &stopping, &servers);
    crate::retention::watch(
        journal.clone(),
        config.terms.clone(),
        config.access.audit,
        stopping.clone(),
        &servers,
    );

    let recorders = Recorders::new(
        Arc::clone(&config.recorders),
        journal.clone(),
        client.clone(),
        config.ari.app.clone(),
    );
    recorders.resume_left().await;
    if journal.is_shared() {
        crate::recovery::take_over(journal.clone(), recorders.clone(), &stopping, &servers);
    }
    let lamps = Lamps::new(client.clone());
    let app = config.ari.app.clone();
    tidy(
        client.clone(),
        app,
        lamps.clone(),
        journal.clone(),
        &stopping,
        &servers,
    );
    let (pairs, spies) = (Pairs::default(), Spies::default());
    let outbound = Outbound::new(
        client.clone(),
        journal.clone(),
        stream.clone(),
        config.tenants.clone(),
        pools.clone(),
        config.ari.app.clone(),
        (drain.begun().clone(), stopping.clone()),
        servers.clone(),
    );
    drain.counts({
        let (on, outbound, pairs) = (Arc::clone(&on), outbound.clone(), pairs.clone());
        Box::new(move || on.load(Ordering::Relaxed) + outbound.rung() + pairs.on_their_way())
    });
    drop(caller.0.set((outbound.clone(), Arc::clone(&connected))));
    let shared = Arc::new(Shared {
        outbound: outbound.clone(),
        recorders: recorders.clone(),
        pairs: pairs.clone(),
        spies: spies.clone(),
        lamps: lamps.clone(),
        cancels,
        quarantine: config.quarantine.clone(),
        client: client.clone(),
        settle: settle.clone(),
        events: stream,
        guard: Guard::new(&config.ari.app, config.guard_exceptions.clone()),
        edge: config.edge.clone(),
        tenants: config.tenants.clone(),
        settings: Arc::new(config.dialogue.clone()),
    });
    let key = Arc::new(PayKey {
        shared: Arc::clone(&shared),
        pools: pools.clone(),
        draining: drain.begun().clone(),
        twilio: config.twilio.clone(),
        ami: config.pay_key.clone(),
    });
    drop(talks.there.set((Arc::clone(&key), Arc::clone(&connected))));
    if let Some(listener) = keys {
        let key = Arc::clone(&key);
        let closed = closing.clone().cancelled_owned();
        servers.spawn(async move {
            let handle = move |session| Arc::clone(&key).handle(session);
            listener
                .serve(handle, |error| events::no_session(&error), closed)
                .await;
        });
    }
    events::serving(config.limits.calls_max);
    pools.watch(&closing, &servers);
    tell_manager("READY=1");

    let desks = Desks::default();
    let calls_on = TaskTracker::new();
    let live = Arc::new(Live::default());
    let mut signals = Signals::new();
    let lost = journal.clone();
    let mut fenced = std::pin::pin!(lost.fenced());
    let mut has_right = true;
    let mut reads = true;
    let (mut draining, mut signalled) = (false, false);
    let mut beat = tokio::time::interval(BEAT);
    let mut look = tokio::time::interval(DRAIN_LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let start = tokio::select! {
            biased;
            () = signals.next() => {
                // Whoever says it again does not want to wait.
                if signalled || config.limits.drain_limit.0.is_zero() {
                    break;
                }
                signalled = true;
                // A drain that somebody has begun goes on to its own limit.
                if !drain.is_begun() {
                    drain.begin(None);
                }
                let left = drain.left().unwrap_or_default();
                let stop = left + Duration::from_secs(config.limits.shutdown_seconds) + LEAVE_MAX;
                // The unit's TimeoutStopSec may be less.
                tell_manager(&format!("EXTEND_TIMEOUT_USEC={}", stop.as_micros()));
                continue;
            }
            () = drain.begun().cancelled(), if !draining => {
                draining = true;
                events::draining(drain.running(), drain.left().unwrap_or_default());
                continue;
            }
            _ = look.tick(), if draining => {
                if drain.is_over() {
                    break;
                }
                continue;
            }
            _ = beat.tick() => {
                pulse.beat();
                continue;
            }
            why = &mut fenced => {
                events::fenced(why);
                has_right = false;
                break;
            }
            Some(refusal) = refusals.recv() => {
                events::capacity(&refusal.channel);
                tokio::spawn(give_back(
                    client.clone(),
                    refusal.channel,
                    Some(CallResult::CapacityExceeded),
                ));
                continue;
            }
            start = starts.recv() => match start {
                Some(start) => start,
                // The reader has ended, and with it whoever could enter.
                None => {
                    reads = false;
                    break;
                }
            },
        };
        // A supervisor who is taken off is no call: he waits for the end of one.
        if let Some(token) = spies::token(&start.args) {
            let token = token.to_owned();
            if let Err(start) = spies.arrived(&token, start) {
                let_go(&client, start.channel.id);
            }
            continue;
        }
        // Nor is an operator who asks by the pay key.
        if paykey::asks(&start.args) {
            if draining {
                not_taken(&client, start.channel.id);
                continue;
            }
            servers.spawn(Arc::clone(&key).pressed(start));
            continue;
        }
        // The operator's leg of a pair is no call of its own: it belongs to the customer's.
        let start = match Leg::of(&start.args).filter(|leg| leg.is_operator) {
            None => start,
            Some(leg) => {
                let token = leg.token.to_owned();
                if let Err(start) = pairs.operator(&token, start) {
                    events::pair_unknown(&start.channel.id);
                    let_go(&client, start.channel.id);
                }
                continue;
            }
        };
        let called = match Mark::of(&start.args) {
            Some(Mark::Status(call, status)) => {
                outbound.status(call, status, start);
                continue;
            }
            Some(Mark::Customer(call)) => match outbound.answered(call) {
                Some(place) => Some((call, place)),
                None => {
                    events::customer_not_called(call, "its customer came when it was over");
                    let result = Some(CallResult::InternalError);
                    tokio::spawn(give_back(client.clone(), start.channel.id, result));
                    continue;
                }
            },
            None => None,
        };
        // An operator who transfers while his customer pays leaves the customer where he is: whoever takes his place in our bridge is not
        // the one whom he meant to give him to.
        if start
            .replaced
            .as_ref()
            .is_some_and(|one| pairs.is_seated(&one.id))
        {
            events::place_taken(&start.channel.id);
            hang_up(&client, start.channel.id);
            continue;
        }
        // A customer in the place of an operator at the keypad goes on in that call's place.
        let start = match desks.hand_over(start) {
            Ok(()) => continue,
            Err(start) => *start,
        };
        // What belongs to something that runs comes in; the rest is another daemon's, or the dialplan's.
        // A pair's place is kept by its token, and who only marks a recording needs none.
        let has_none =
            Leg::of(&start.args).is_some() || quarantine::Mark::of(&start.args).is_some();
        if draining && called.is_none() && !has_none {
            not_taken(&client, start.channel.id);
            continue;
        }
        let (called, place) = match called {
            Some((call, place)) => (Some(call), Some(place)),
            None if has_none => (None, None),
            None => {
                let tenant = arguments::values(&start.args, "tenant").last();
                let tenant = tenant.unwrap_or_default().trim();
                match pools.take_or_kept(tenant, &start.channel.name) {
                    Ok(place) => (None, Some(place)),
                    Err(_) => {
                        events::capacity(&start.channel.id);
                        tokio::spawn(no_place(client.clone(), start.channel.id, NoPlace::Full));
                        continue;
                    }
                }
            }
        };
        let (sender, receiver) = mpsc::channel(call::COMMANDS_MAX);
        let number = live.add(start.channel.id.clone(), sender);
        on.fetch_add(1, Ordering::Relaxed);
        events::call_on(true);
        let wanted = || Leg::of(&start.args).and_then(|leg| pairs.call(leg.token));
        let id = called.or_else(wanted);
        let id = id.unwrap_or_else(|| CallId::new(uuid::Uuid::now_v7()));
        let outbound = outbound.clone();
        let (shared, on, live) = (Arc::clone(&shared), Arc::clone(&on), Arc::clone(&live));
        let recorders = recorders.clone();
        let client = client.clone();
        let (desks, pools) = (desks.clone(), pools.clone());
        calls_on.spawn(async move {
            let settle = shared.settle.clone();
            let place = match place {
                Some(place) => pools.counted(place).await.map(Some),
                None => Ok(None),
            };
            let channel = start.channel.id.clone();
            let ended = match place {
                Err(why) => {
                    if why == NoPlace::Full {
                        events::capacity(&channel);
                    }
                    no_place(client.clone(), channel, why).await;
                    Ok(())
                }
                Ok(place) if desk::is_leg(&start.args) && start.replaced.is_none() => {
                    let moving = Arc::clone(&live);
                    let moved =
                        move |channel: &ivrpay_ari::ChannelId| moving.moved(number, channel);
                    let keep = move |whom| {
                        if let Some(place) = place {
                            pools.keep(place, whom);
                        }
                    };
                    let leg = desk::run(shared, desks, id, start, receiver, moved, keep);
                    tokio::spawn(leg).await
                }
                Ok(_place) => {
                    let call = call::run(shared, id, start, receiver, None);
                    tokio::spawn(call).await
                }
            };
            if ended.is_err()
                && let Some(channel) = live.channel(number)
            {
                // A bug of ours; the caller must not pay for it with silence. A charge may be on its way: the result
                // stays as it was marked.
                events::call_panicked();
                outbound.over(id, CallResult::InternalError);
                Box::pin(settle.abandon(id)).await;
                Box::pin(give_back(client, channel, None)).await;
                recorders.resume(id);
            }
            live.remove(number);
            on.fetch_sub(1, Ordering::Relaxed);
            events::call_on(false);
        });
    }

    // New callers are given back at once; the socket stays, for those that are on.
    drain.stop();
    stopping.cancel();
    settle.stop_resending();
    let told_to_end = on.load(Ordering::Relaxed);
    events::stopping(told_to_end);
    let late = tokio::spawn({
        let client = client.clone();
        async move {
            let mut given = JoinSet::new();
            loop {
                let channel = tokio::select! {
                    Some(start) = starts.recv() => start.channel.id,
                    Some(refusal) = refusals.recv() => refusal.channel,
                    // The reader is gone, and with it whoever could enter.
                    else => break,
                };
                given.spawn(call::not_taken(client.clone(), channel));
            }
            given.join_all().await;
        }
    });
    live.tell(Command::Shutdown);
    calls_on.close();
    let all = async {
        calls_on.wait().await;
        settle.drain().await;
    };
    let waited = tokio::select! {
        done = tokio::time::timeout(Duration::from_secs(config.limits.shutdown_seconds), all) => done.is_ok(),
        () = signals.next() => false,
    };
    let left = live.channels();
    // Their results stay as they were marked: a charge whose answer is out is unknown.
    let mut given: JoinSet<()> = left
        .iter()
        .map(|channel| give_back(client.clone(), channel.clone(), None))
        .collect();
    drop(
        tokio::time::timeout(GIVE_BACK_MAX, async {
            while given.join_next().await.is_some() {}
        })
        .await,
    );
    drop(tokio::time::timeout(GIVE_BACK_MAX, lamps.end()).await);
    halt.stop().await;
    drop(tokio::time::timeout(GIVE_BACK_MAX, late).await);
    drain.ended(api::Drained {
        told_to_end,
        left: left.len(),
        all_written: waited,
    });
    closing.cancel();
    servers.close();
    drop(tokio::time::timeout(SERVERS_MAX, servers.wait()).await);
    if let Err(error) = journal.stop().await {
        events::journal_failed(None::<PaymentId>, "close", &error);
    }
    drop(std::fs::remove_file(&config.admin_socket));
    events::stopped(left.len(), waited);
    // The service manager starts it again.
    anyhow::ensure!(
        has_right,
        "this service was away for longer than its lease of the journal: another one has what it left; it has to be started anew"
    );
    anyhow::ensure!(
        reads,
        "the reader of Asterisk's events ended by a bug; please report it"
    );
    Ok(())
}

/// Buckets from a key to our next request, seconds: fine enough to tell a 99th percentile around 5 ms.
const KEY_BUCKETS: [f64; 24] = [
    0.000_02, 0.000_03, 0.000_05, 0.000_07, 0.000_1, 0.000_15, 0.000_2, 0.000_3, 0.000_5, 0.000_7,
    0.001, 0.001_5, 0.002, 0.003, 0.004, 0.005, 0.007, 0.01, 0.015, 0.02, 0.05, 0.1, 0.3, 1.0,
];

/// Buckets from the moment that the HTTP client takes a body with a card to the moment that it is wiped, seconds: fine around the
/// 30 µs that it takes and up to the aim, a 99th percentile of 1 ms.
const WIPED_BUCKETS: [f64; 20] = [
    0.000_01, 0.000_02, 0.000_03, 0.000_05, 0.000_07, 0.000_1, 0.000_15, 0.000_2, 0.000_3, 0.000_5,
    0.000_7, 0.001, 0.001_5, 0.002, 0.003, 0.005, 0.01, 0.03, 0.1, 1.0,
];

fn metrics_recorder() -> anyhow::Result<PrometheusHandle> {
    // Buckets instead of summaries: summaries grow with time, and can't be added up over daemons.
    PrometheusBuilder::new()
        .set_buckets(&[
            0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0,
            10.0, 60.0, 300.0, 900.0,
        ])
        .context("metric buckets")?
        .set_buckets_for_metric(
            Matcher::Full("ivrpay_key_to_request_seconds".to_owned()),
            &KEY_BUCKETS,
        )
        .context("metric buckets")?
        .set_buckets_for_metric(
            Matcher::Full("ivrpay_card_wiped_seconds".to_owned()),
            &WIPED_BUCKETS,
        )
        .context("metric buckets")?
        .install_recorder()
        .context("the metrics recorder could not be installed")
}

/// Connectors by name, and the one for practice that is always there.
pub(crate) fn routes(config: &Config) -> anyhow::Result<BTreeMap<String, Route>> {
    let mut routes = BTreeMap::new();
    for (name, connector) in &config.connectors {
        let sender = connector
            .endpoint
            .as_ref()
            .map_or_else(
                || Ok(ivrpay_wire::Sender::offline()),
                ivrpay_wire::Sender::new,
            )
            .map_err(|error| {
                anyhow::anyhow!("[connectors.{name}]: {error}\nhint: {}", error.hint())
            })?;
        routes.insert(
            name.clone(),
            Route {
                connector: ivrpay_acquirer::configured(connector.kind, &connector.settings)
                    .map_err(|error| anyhow::anyhow!("[connectors.{name}]: {error}"))?,
                sender,
                breaker: Breaker::new(connector.maintenance.clone(), connector.away_after),
                declined_ms: AtomicU64::default(),
            },
        );
    }
    routes
        .entry(ivrpay_journal::TRAINING.to_owned())
        .or_insert_with(|| Route::offline(Box::new(ivrpay_acquirer::null::Null)));
    Ok(routes)
}

#[expect(
    clippy::too_many_arguments,
    reason = "each is one thing that the API shows"
)]
fn web(
    config: &Config,
    journal: &Journal,
    settle: &Settle,
    stream: &Events,
    cancels: &Cancels,
    metrics: &PrometheusHandle,
    on: &Arc<AtomicUsize>,
    pools: &Pools,
    connected: &Arc<AtomicBool>,
    drain: &Drain,
    pulse: &Pulse,
    closing: &CancellationToken,
    caller: &Arc<Caller>,
    talks: &Arc<Talks>,
    health: &Health,
    secret_memory: &'static str,
) -> Web {
    let (on, calls_max) = (Arc::clone(on), config.limits.calls_max);
    let cancels = cancels.clone();
    Web {
        wish: Arc::new(move |payment, want, by| {
            let cancels = cancels.clone();
            async move { cancels.wish(payment, want, by).await }.boxed()
        }),
        acquirers: Arc::new(settle.clone()),
        journal: journal.clone(),
        keys: Arc::new(ivrpay_web::Keys(config.http.keys.clone())),
        tenants: Arc::new(
            config
                .tenants
                .iter()
                .map(|t| ivrpay_web::Tenant {
                    id: t.id.clone(),
                    currency: t.currency,
                    language: t.language.to_string(),
                    live: t.live,
                    connector: t.connector.clone(),
                    transaction: t.transaction,
                    connectors: t
                        .routing
                        .connectors()
                        .into_iter()
                        .map(str::to_owned)
                        .collect(),
                    receipts: t.receipts.clone(),
                    waiting_max: t.waiting_max,
                    customer_calls_max: t.calls.at_once_max,
                    plans: t.plans.clone(),
                    role_limits: t.role_limits.clone(),
                    refuses: Arc::new({
                        let (routing, offers) = (t.routing.clone(), t.plans.clone());
                        move |named, amount, plan| {
                            // What is offered at one time of the year is announced at any: its call may come then.
                            routing.refuses(Wish {
                                named,
                                amount,
                                plan,
                                offers: &offers,
                            })
                        }
                    }),
                })
                .collect(),
        ),
        events: stream.feed(),
        findings: Arc::new({
            let health = health.clone();
            move || health.findings()
        }),
        captures: Arc::new({
            let captures = stream.captures().clone();
            move || captures.now()
        }),
        body_max: ivrpay_web::BODY_MAX,
        limits: ivrpay_web::Limits::new(Arc::new({
            let began = Instant::now();
            move || began.elapsed()
        })),
        access: config.access.at_work(),
        answered: Arc::new(events::asked_of_api),
        health: Arc::new({
            let (drain, pulse) = (drain.clone(), pulse.clone());
            move || {
                let (since, stopping) = (pulse.since(), drain.is_stopping());
                api::Health {
                    // It ends by then, and the rest has limits.
                    ok: stopping || Pulse::is_good(since),
                    main_loop_seconds: since.as_secs(),
                    calls: on.load(Ordering::Relaxed),
                    calls_max,
                    secret_memory: secret_memory.into(),
                    draining: drain.is_begun(),
                    stopping,
                }
            }
        }),
        ready: Arc::new({
            let (drain, connected, settle) = (drain.clone(), Arc::clone(connected), settle.clone());
            move || ready(&drain, connected.load(Ordering::Relaxed), settle.reached())
        }),
        drains: Arc::new(drain.clone()),
        tests_webhook: crate::webhooks::tests(config),
        pools: Arc::new({
            let pools = pools.clone();
            move || pools.now()
        }),
        metrics: metrics.clone(),
        clock: Arc::new(now_ms),
        quarantine: config.quarantine.clone(),
        authorisation_days: Arc::new(crate::expiring::days(config)),
        prompt_version: ivrpay_prompts::VERSION.to_owned(),
        closing: closing.clone(),
        journal_health: ivrpay_web::JournalHealth::default(),
        caller: Arc::clone(caller) as Arc<dyn ivrpay_web::Caller>,
        talks: Arc::clone(talks) as Arc<dyn ivrpay_web::Talks>,
        twilio: Arc::new(crate::twilio::accounts(&config.twilio)),
    }
}

/// Whether a call could be taken now. `reached`: acquirers that can be asked, and all.
fn ready(drain: &Drain, connected: bool, (open, all): (usize, usize)) -> api::Ready {
    let acquirers = match open {
        0 if all > 0 => "away",
        open if open < all => "some away",
        _ => "answer",
    };
    let calls = if drain.is_stopping() {
        "stopping"
    } else if drain.is_begun() {
        "draining"
    } else {
        "taken"
    };
    api::Ready {
        ready: connected && acquirers != "away" && calls == "taken",
        asterisk: if connected {
            "connected"
        } else {
            "not connected"
        }
        .into(),
        journal: "writable".into(),
        acquirers: acquirers.into(),
        calls: calls.into(),
    }
}

const NOT_CONNECTED: NotCalled = NotCalled::Away("Asterisk is not connected; nobody is called");

/// Who calls customers, when Asterisk is there.
#[derive(Default)]
struct Caller(OnceLock<(Outbound, Arc<AtomicBool>)>);

impl ivrpay_web::Caller for Caller {
    fn ready<'a>(
        &'a self,
        tenant: &'a TenantId,
    ) -> BoxFuture<'a, Result<ivrpay_web::Rings, NotCalled>> {
        async move {
            let Some((outbound, connected)) = self.0.get() else {
                return Err(NOT_CONNECTED);
            };
            if !connected.load(Ordering::Relaxed) {
                return Err(NOT_CONNECTED);
            }
            let (place, outbound) = (outbound.ready(tenant).await?, outbound.clone());
            let rings: ivrpay_web::Rings = Box::new(move |call| outbound.call(call, place));
            Ok(rings)
        }
        .boxed()
    }
}

/// Who takes talks over, when Asterisk is there.
struct Talks {
    there: OnceLock<(Arc<PayKey>, Arc<AtomicBool>)>,
    accounts: Vec<crate::twilio::Account>,
}

impl Talks {
    fn key(&self) -> Result<Arc<PayKey>, NotStarted> {
        let there = self.there.get();
        let there = there.filter(|(_, connected)| connected.load(Ordering::Relaxed));
        let key = there.map(|(key, _)| Arc::clone(key));
        key.ok_or(NotStarted::away(
            "Asterisk is not connected; nobody was moved",
        ))
    }
}

impl ivrpay_web::Talks for Talks {
    fn start(&self, start: ToStart) -> BoxFuture<'static, Result<CallId, NotStarted>> {
        let key = match self.key() {
            Ok(key) => key,
            Err(why) => return std::future::ready(Err(why)).boxed(),
        };
        // To its end, also where whoever asked goes away: two people are on their way.
        let started = tokio::spawn(key.start(start));
        async move {
            let lost = NotStarted::away("the talk could not be taken over");
            started.await.unwrap_or(Err(lost))
        }
        .boxed()
    }

    fn calls(
        &self,
        tenant: TenantId,
        sid: Option<String>,
    ) -> BoxFuture<'static, Result<Vec<ivrpay_web::LiveCall>, NotStarted>> {
        match self.key() {
            Ok(key) => key.calls(tenant, sid).boxed(),
            Err(why) => std::future::ready(Err(why)).boxed(),
        }
    }

    fn may_call_back(&self, account: &str, url: &str) -> Result<(), CallbackRefused> {
        crate::twilio::may_call_back(&self.accounts, account, url)
    }
}

async fn listen(
    config: &Config,
    web: Web,
    servers: &TaskTracker,
    closing: &CancellationToken,
) -> anyhow::Result<()> {
    let socket = &config.admin_socket;
    match std::fs::symlink_metadata(socket) {
        // The journal's lock is ours by now, so a socket that lies here is of a daemon that is gone.
        Ok(found) if found.file_type().is_socket() => drop(std::fs::remove_file(socket)),
        Ok(_) => anyhow::bail!(
            "{} is there and is no socket; name another path in [admin] socket",
            socket.display()
        ),
        Err(_) => {}
    }
    let unix = UnixListener::bind(socket).with_context(|| {
        format!(
            "the socket {} can't be made; set [admin] socket",
            socket.display()
        )
    })?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))
        .with_context(|| format!("the mode of {} can't be set", socket.display()))?;
    let stopped = closing.clone();
    let admin = ivrpay_web::admin_router(web.clone());
    servers.spawn(async move {
        drop(
            axum::serve(
                unix,
                admin.into_make_service_with_connect_info::<ivrpay_web::Peer>(),
            )
            .with_graceful_shutdown(stopped.cancelled_owned())
            .await,
        );
    });
    if let Some(address) = config.http.listen {
        let tcp = TcpListener::bind(address).await.with_context(|| {
            format!("[http] listen = \"{address}\": the address can't be used; is another ivrpay running?")
        })?;
        let stopped = closing.clone().cancelled_owned();
        let tls = crate::tls::open(config, closing, servers)?;
        servers.spawn(ivrpay_web::serve_tls(
            tcp,
            ivrpay_web::router(web),
            tls,
            stopped,
        ));
    }
    Ok(())
}

fn watch(
    mut status: watch::Receiver<ivrpay_ari::Status>,
    connected: &Arc<AtomicBool>,
    stopping: &CancellationToken,
    servers: &TaskTracker,
) {
    let (connected, stopping) = (Arc::clone(connected), stopping.clone());
    servers.spawn(async move {
        let mut last = None;
        loop {
            let now = *status.borrow_and_update();
            connected.store(now == ivrpay_ari::Status::Connected, Ordering::Relaxed);
            // The reader says the same again when it tries again.
            if last.replace(now) != Some(now) {
                events::asterisk(&now);
            }
            tokio::select! {
                changed = status.changed() => if changed.is_err() { break },
                () = stopping.cancelled() => break,
            }
        }
        // However it ended: no call can come.
        connected.store(false, Ordering::Relaxed);
    });
}

fn housekeeping(
    settle: Settle,
    metrics: PrometheusHandle,
    counters: Arc<ivrpay_ari::Counters>,
    stopping: &CancellationToken,
    servers: &TaskTracker,
) {
    let stopping = stopping.clone();
    servers.spawn(async move {
        let mut tick = tokio::time::interval(HOUSEKEEPING);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stopping.cancelled() => break,
            }
            metrics.run_upkeep();
            events::ari(&counters);
            events::secret_memory(ivrpay_secret::in_use(), ivrpay_secret::longest_life());
            settle.tell_of_acquirers();
            let journal = settle.journal();
            match journal.unknowns().await {
                Ok(unknowns) => events::unknowns(unknowns, now_ms()),
                Err(error) => events::journal_failed(None, "unknowns", &error),
            }
            if let Err(error) = journal.expire(now_ms()).await {
                events::journal_failed(None, "expire", &error);
            }
        }
    });
}

/// Longest wait for an Asterisk that is away, before what a service left there is looked for again.
const TIDY_AGAIN: Duration = Duration::from_secs(2);

/// Lamps, bridges and ringing customers of a service that is no more: nobody else would put them out. Of a second daemon that takes calls
/// on this Asterisk nothing is touched: what its channels are in, or tell by their variable that they are.
fn tidy(
    client: ivrpay_ari::Client,
    app: String,
    lamps: Lamps,
    journal: Journal,
    stopping: &CancellationToken,
    servers: &TaskTracker,
) {
    let stopping = stopping.clone();
    // Bridges are told from ours by their call's id, which holds its time.
    let began = uuid::Uuid::now_v7();
    servers.spawn(async move {
        loop {
            if let Ok(elsewhere) = journal.calls_elsewhere().await
                && let Ok(bridges) = client.bridges().await
                && let Ok(channels) = client.channels().await
                && let Ok(alone) = tidy_lamps(&lamps, &channels, &app, elsewhere.is_empty()).await
            {
                let lives = |id: &str| elsewhere.iter().any(|call| id.ends_with(&call.to_string()));
                for channel in outbound::left(&channels, began) {
                    if lives(channel.as_str())
                        || (!alone && !outbound::is_of(&client, channel, &app).await)
                    {
                        continue;
                    }
                    drop(
                        client
                            .hangup(channel, ivrpay_ari::HangupReason::Normal)
                            .await,
                    );
                }
                let another = |id: &String| {
                    let mut others = channels.iter().filter(|c| is_anothers(c, &app));
                    others.any(|channel| channel.id.as_str() == id)
                };
                let left = |bridge: &&ivrpay_ari::Bridge| {
                    outbound::is_before(&bridge.id, call::BRIDGE, began)
                        && !lives(&bridge.id)
                        && !bridge.channels.iter().any(another)
                };
                for bridge in bridges.iter().filter(left) {
                    if let Ok(id) = ivrpay_ari::BridgeId::new(&bridge.id) {
                        drop(client.destroy_bridge(&id).await);
                    }
                }
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(TIDY_AGAIN) => {}
                () = stopping.cancelled() => return,
            }
        }
    });
}

/// A channel that stands in `Stasis()` of another application, which may be a second daemon's.
fn is_anothers(channel: &ivrpay_ari::Channel, app: &str) -> bool {
    channel.dialplan.app_name.eq_ignore_ascii_case("Stasis") && !channel.is_in(app)
}

/// Puts the lamps out, where no other application has a channel: lamps do not tell whose they are. Whether it is so.
async fn tidy_lamps(
    lamps: &Lamps,
    channels: &[ivrpay_ari::Channel],
    app: &str,
    nowhere_else: bool,
) -> Result<bool, ivrpay_ari::RequestError> {
    let alone = nowhere_else && !channels.iter().any(|channel| is_anothers(channel, app));
    if alone {
        lamps.tidy().await?;
    }
    Ok(alone)
}

/// Nobody waits for this channel here (any more): another daemon may, else it goes on in the dialplan.
fn let_go(client: &ivrpay_ari::Client, channel: ivrpay_ari::ChannelId) {
    let client = client.clone();
    tokio::spawn(async move {
        call::say_not_taken(&client, &channel).await;
        call::go_on(&client, &channel).await;
    });
}

/// A channel that has no place in the dialplan to go on at.
fn hang_up(client: &ivrpay_ari::Client, channel: ivrpay_ari::ChannelId) {
    let client = client.clone();
    tokio::spawn(async move {
        // One that is left is found by the next listing of channels.
        drop(
            client
                .hangup(&channel, ivrpay_ari::HangupReason::Normal)
                .await,
        );
    });
}

/// It comes while the service is about to leave.
fn not_taken(client: &ivrpay_ari::Client, channel: ivrpay_ari::ChannelId) {
    events::not_taken(&channel);
    tokio::spawn(call::not_taken(client.clone(), channel));
}

/// SIGTERM and SIGINT, heard from here on; none is lost between two waits.
struct Signals(Option<(unix::Signal, unix::Signal)>);

impl Signals {
    fn new() -> Self {
        let (Ok(term), Ok(int)) = (
            unix::signal(unix::SignalKind::terminate()),
            unix::signal(unix::SignalKind::interrupt()),
        ) else {
            // Without handlers the default action of the signal ends the process.
            return Self(None);
        };
        Self(Some((term, int)))
    }

    /// Cancel-safe.
    async fn next(&mut self) {
        let Some((term, int)) = &mut self.0 else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    }
}

/// Beyond the limits of drain and stop, until the process is gone.
const LEAVE_MAX: Duration = Duration::from_secs(30);

/// Tells systemd (sd_notify(3)) by a datagram to `NOTIFY_SOCKET`.
fn tell_manager(what: &str) {
    if let Some(path) = std::env::var_os("NOTIFY_SOCKET")
        && let Ok(socket) = std::os::unix::net::UnixDatagram::unbound()
    {
        drop(socket.send_to(what.as_bytes(), path));
    }
}

pub(crate) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// There is no place for this channel: the caller hears it from the dialplan.
async fn no_place(client: ivrpay_ari::Client, channel: ivrpay_ari::ChannelId, why: NoPlace) {
    match why {
        NoPlace::Full => give_back(client, channel, Some(CallResult::CapacityExceeded)).await,
        // Nothing could be journalled either; another daemon may be better off.
        NoPlace::Away => call::not_taken(client, channel).await,
    }
}

/// Gives a channel that we can't take, or can't lead to its end, back to the dialplan. Without a result, the one that is set stays.
async fn give_back(
    client: ivrpay_ari::Client,
    channel: ivrpay_ari::ChannelId,
    result: Option<CallResult>,
) {
    match result {
        // Without the variable the dialplan still goes on; it has a fallback for that.
        Some(result) => drop(
            client
                .set_variable(&channel, ivrpay_ari::RESULT_VARIABLE, result.name())
                .await,
        ),
        // One that was led until now, and muted by it.
        None => drop(client.voice_back(&channel).await),
    }
    call::go_on(&client, &channel).await;
}

/// The calls that are on: whom to tell of a shutdown, and whom to give back when it takes too long.
#[derive(Default)]
struct Live(Mutex<LiveCalls>);

#[derive(Default)]
struct LiveCalls {
    next: u64,
    calls: BTreeMap<u64, (ivrpay_ari::ChannelId, mpsc::Sender<Command>)>,
}

impl Live {
    fn lock(&self) -> std::sync::MutexGuard<'_, LiveCalls> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The number under which the call is to be removed: a channel may come back before its last call is over.
    fn add(&self, channel: ivrpay_ari::ChannelId, commands: mpsc::Sender<Command>) -> u64 {
        let mut live = self.lock();
        live.next += 1;
        let number = live.next;
        live.calls.insert(number, (channel, commands));
        number
    }

    /// The call is on another channel now.
    fn moved(&self, number: u64, channel: &ivrpay_ari::ChannelId) {
        if let Some((on, _)) = self.lock().calls.get_mut(&number) {
            on.clone_from(channel);
        }
    }

    fn channel(&self, number: u64) -> Option<ivrpay_ari::ChannelId> {
        let live = self.lock();
        live.calls.get(&number).map(|(channel, _)| channel.clone())
    }

    fn remove(&self, number: u64) {
        self.lock().calls.remove(&number);
    }

    fn tell(&self, command: Command) {
        for (_, commands) in self.lock().calls.values() {
            // A full queue means that the call has enough to do and ends by its limits.
            commands.try_send(command).ok();
        }
    }

    fn channels(&self) -> Vec<ivrpay_ari::ChannelId> {
        let live = self.lock();
        live.calls
            .values()
            .map(|(channel, _)| channel.clone())
            .collect()
    }
}
