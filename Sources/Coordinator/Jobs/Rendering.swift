import Engine
import Foundation
import Logging
import Protocol
import Sampling

/// Renders one picture from request to file, on workers that the caller provides. The command line is one caller, a
/// service another. Several renders may run at once in one process, each on its own thread, on one cluster or several.
///
///     let control = RenderControl()
///     let outcome = try rendering.run(on: open, control: control) { report in … }
package struct Rendering: Sendable {
    package var options: PictureOptions
    package var outputs: RenderSession.Outputs
    package var computation: Computation
    package var saving: Saving
    /// The job to resume.
    package var resumed: Resumed?
    /// State that it shares with other renders of a series.
    package var memory: SeriesMemory?
    /// Job of the previous picture of a series, which is removed as soon as this picture's job can be resumed.
    package var predecessor: JobFolder?
    /// Its share of the workers relative to other renders on the same cluster (`BatchTurns.weight`).
    package var weight = 1.0
    /// How many of the workers' answers are computed a second time.
    package var verify = VerifyShare.byDefault
    /// Records of the workers' sites; nil keeps none.
    package var siteBook: SiteBook?
    /// Receives warnings.
    package var logger: Logger

    package typealias Resumed = (folder: JobFolder, record: JobFolder.Record)
    package typealias Observer = (RenderReport) throws -> Void
    /// Provides workers that have the model.
    package typealias Opening = (RenderSession, ModelIdentity, Logger, Cancellation) throws ->
        Workers

    package init(
        options: PictureOptions,
        outputs: RenderSession.Outputs,
        computation: Computation,
        saving: Saving = .nothing,
        resumed: Resumed? = nil,
        logger: Logger
    ) {
        (self.options, self.outputs, self.computation) = (options, outputs, computation)
        (self.saving, self.resumed, self.logger) = (saving, resumed, logger)
    }

    /// Engine options for the coordinator's own computations.
    package struct Computation: Sendable {
        /// Options for the text encoders.
        let conditioning: EngineOptions
        /// Options for phase 1; must match the workers, or the result differs from theirs.
        let globalPass: EngineOptions

        package init(conditioning: EngineOptions, globalPass: EngineOptions) {
            (self.conditioning, self.globalPass) = (conditioning, globalPass)
        }
    }

    /// Workers to render on, and how to stop them.
    package struct Workers {
        package let cluster: Cluster
        /// Stops what was started for this render, but nothing of a shared cluster.
        package let stop: () -> Void
        /// Waits until there are enough workers.
        package var prepare: (Cancellation) throws -> Void
        /// Called with the reports of the render.
        package var note: (RenderReport) -> Void = { _ in }
        /// Called when no render uses the workers for now.
        package var rest: () -> Void = {}
        /// How long this render waited for another one; not part of its own time.
        package var waited: Duration = .zero
        /// What to report about the workers at the end.
        package var summary: () -> String? = { nil }

        package init(
            cluster: Cluster,
            stop: @escaping () -> Void = {},
            prepare: @escaping (Cancellation) throws -> Void = { _ in }
        ) {
            (self.cluster, self.stop, self.prepare) = (cluster, stop, prepare)
        }

        /// Number of workers that get work.
        package var activeCount: Int { cluster.statistics.count(where: \.isActive) }
    }

    /// Renders the picture and writes it.
    ///
    /// - Parameters:
    ///   - open: starts workers or waits for them
    ///   - control: cancels the render
    ///   - observe: called with reports; an error it throws ends the render
    /// - Returns: the picture's path and statistics
    /// - Throws: whatever ends the render; its workers are stopped first
    package func run(
        on open: Opening,
        control: RenderControl = RenderControl(),
        observe: @escaping Observer = { _ in }
    ) throws -> RenderOutcome {
        let start = ContinuousClock.now
        guard !options.prompt.isEmpty else {
            throw InputError("--prompt", "it is missing", fix: "Describe the picture")
        }
        let session = try session(control: control, observe: observe)
        try outputs.makeFolders()
        try observe(.ready(session.plan))
        let identity = try ModelIdentity(of: session.model)
        let record = try saving.record(of: session, identity, resumed: resumed)
        // The rest of a series must not be lost, even before the first step of this picture is done.
        var writer =
            saving.series == nil
            ? nil : try saving.writer(record, resumed: resumed, logger: logger)
        if writer != nil { predecessor?.remove() }
        do {
            return try onWorkers(open, session, identity, control) { workers, job in
                let observe: Observer = { report in
                    workers.note(report)
                    try observe(report)
                }
                try observe(.begun(session.plan, session.prompts))
                if let suggestion = session.suggestion { try observe(.suggestion(suggestion)) }
                let prompts = try encodedPrompts(session, identity)
                let globalPass = session.globalPass(
                    computation.globalPass,
                    identity,
                    memory: memory,
                    cancellation: control.cancellation
                )
                let saved =
                    try writer ?? saving.writer(record, resumed: resumed, logger: logger)
                writer = saved
                if let saved { try observe(.saves(in: saved.path)) }
                let before = workers.cluster.statistics
                let statistics = { @Sendable [cluster = workers.cluster] in
                    cluster.statistics.since(before)
                }
                let settled = {
                    @Sendable [cluster = workers.cluster, cancellation = control.cancellation] in
                    Self.awaitWorker(cluster, cancellation)
                    return statistics()
                }
                let verifier = verifier(session, identity, job, globalPass, control)
                defer { verifier?.finish() }
                let renderer = CountingRenderer(
                    verifier ?? job,
                    wire: session.plan.settings.wire
                )
                var companions = RenderSession.Companions(
                    globalPass: globalPass,
                    writer: saved,
                    resumed: resumed,
                    workers: settled
                )
                companions.verifier = verifier
                let path = try session.render(
                    on: renderer,
                    prompts: prompts,
                    digest: identity.digest,
                    outputs: outputs,
                    companions: companions
                ) { try observe(.progress($0)) }
                let rest = saving.isFollowed ? saved?.leaveToSeries() : nil
                if rest == nil { saved?.discard() }
                let local =
                    globalPass != nil && resumed == nil && session.plan.phases[0].isWhole
                    ? session.plan.phases[0].views : nil
                return RenderOutcome(
                    picture: path,
                    rest: rest,
                    plan: session.plan,
                    model: session.model.path,
                    identity: identity,
                    duration: ContinuousClock.now - start - workers.waited,
                    coordinatorViews: local,
                    unetCalls: renderer.tally.evaluations
                        + (globalPass?.evaluator.evaluations ?? 0),
                    tally: renderer.tally,
                    workers: statistics(),
                    checks: verifier?.summary ?? CheckSummary(),
                    summary: workers.summary()
                )
            }
        } catch {
            if let writer {
                try? observe(writer.finish().map { .canBeResumed(from: $0) } ?? .nothingSaved)
            }
            throw error
        }
    }

    /// The renderer that checks the workers' answers; nil if none are to be checked.
    private func verifier(
        _ session: RenderSession,
        _ identity: ModelIdentity,
        _ job: ClusterJob,
        _ globalPass: LocalRenderer?,
        _ control: RenderControl
    ) -> VerifyingRenderer? {
        guard verify != .off else { return nil }
        let renderer =
            globalPass
            ?? session.localRenderer(
                computation.globalPass,
                identity,
                memory: memory,
                cancellation: control.cancellation
            )
        return VerifyingRenderer(
            job,
            share: verify,
            seed: session.plan.settings.seed,
            model: session.plan.model,
            // Has its own evaluator, so that its evaluations are counted separately.
            own: LocalRenderer(
                Evaluator(renderer.evaluator.networks),
                wire: session.plan.settings.wire,
                isShared: true,
                cancellation: control.cancellation
            ),
            usesOwn: globalPass != nil,
            book: siteBook,
            logger: logger
        )
    }

    /// Waits until a worker has joined: the picture's text records what it was computed with, even if phase 1 is
    /// finished before the first worker joins. Without any worker the render ends later, with its own error.
    private static func awaitWorker(_ cluster: Cluster, _ cancellation: Cancellation) {
        let end = ContinuousClock.now + .seconds(60)
        while !cluster.statistics.contains(where: { $0.isActive || $0.views + $0.tiles > 0 }),
            !cancellation.isCancelled, ContinuousClock.now < end
        {
            Thread.sleep(forTimeInterval: 0.005)
        }
    }

    /// The session's encoded prompts, from an earlier render of the series if possible.
    private func encodedPrompts(
        _ session: RenderSession,
        _ identity: ModelIdentity
    ) throws -> Prompts {
        func encode() throws -> Prompts { try session.encodedPrompts(computation.conditioning) }
        guard let memory else { return try encode() }
        return try memory.prompts("\(identity.digest) \(session.promptKey)", encode: encode)
    }

    /// Reads and checks everything that a render reads before it needs workers.
    ///
    /// - Parameters:
    ///   - control: cancels the render
    ///   - observe: called with notices and the progress of reading the picture
    /// - Returns: the planned render
    /// - Throws: `InputError` naming what is at fault, `RenderCancelled`
    package func session(
        control: RenderControl = RenderControl(),
        observe: Observer = { _ in }
    ) throws -> RenderSession {
        try outputs.validate()
        try computation.globalPass.check()
        if resumed == nil, let folder = saving.folder { try JobFolder.checkFree(folder) }
        let session = try RenderSession(options)
        try outputs.validate(for: session)
        try session.checkWeights()
        for line in session.notices { try observe(.notice(line)) }
        guard resumed == nil else { return session }
        try session.checkPicture { share in
            try control.check()
            try observe(.reading(path: options.picture?.path ?? "", share: share))
        }
        return session
    }

    /// Times a few views of a render on its workers.
    ///
    /// - Parameters:
    ///   - session: a session of this rendering
    ///   - open: starts workers or waits for them
    ///   - control: cancels the measurement
    /// - Returns: the measured speeds
    /// - Throws: what a render would throw
    package func speeds(
        of session: RenderSession,
        on open: Opening,
        control: RenderControl = RenderControl()
    ) throws -> MeasuredSpeeds {
        let identity = try ModelIdentity(of: session.model)
        return try onWorkers(open, session, identity, control) { workers, job in
            try session.speeds(
                on: job,
                prompts: try session.encodedPrompts(computation.conditioning),
                globalPass: session.globalPass(
                    computation.globalPass,
                    identity,
                    cancellation: control.cancellation
                ),
                statistics: { workers.cluster.statistics }
            )
        }
    }

    /// Opens workers and a job on them, and closes both after the body.
    private func onWorkers<Result>(
        _ open: Opening,
        _ session: RenderSession,
        _ identity: ModelIdentity,
        _ control: RenderControl,
        _ body: (Workers, ClusterJob) throws -> Result
    ) throws -> Result {
        let workers = try open(session, identity, logger, control.cancellation)
        defer { workers.stop() }
        let job = workers.cluster.open(
            session.plan.model,
            wire: session.plan.settings.wire,
            weight: weight
        )
        defer { job.end() }
        control.attach(job)
        defer { control.detach() }
        try workers.prepare(control.cancellation)
        return try body(workers, job)
    }
}

/// A finished picture, and statistics of its render.
package struct RenderOutcome: Sendable {
    /// The picture's path.
    package let picture: String
    /// The job that represents the rest of its series until the next picture has its own; nil if there is none.
    package let rest: JobFolder?
    package let plan: RenderPlan
    /// The model's path.
    package let model: String
    package let identity: ModelIdentity
    /// Time since the model's configuration was first read, without waiting for other renders.
    package let duration: Duration
    /// Views that this process rendered itself; nil if none.
    package let coordinatorViews: Int?
    /// UNet evaluations at batch size 1, here and on workers.
    package let unetCalls: Int
    package let tally: RenderTally
    /// What each worker of the cluster has done during the render.
    package let workers: [WorkerStatistics]
    /// Results of the checks of their answers.
    package let checks: CheckSummary
    /// What to report about the hosts; nil for nothing.
    package let summary: String?
}
