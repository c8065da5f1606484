import ArgumentParser
import Coordinator
import Engine
import Logging
import Protocol
import Sampling

/// `tessera plan`: what a render would do and cost; renders nothing.
struct Plan: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows what a render would do and cost; renders nothing."
    )

    @Flag(
        help: ArgumentHelp(
            "Start the workers, time a few of the render's views on them, and say how long it takes."
        )
    )
    var measure = false

    @Flag(help: "Print one line of JSON.")
    var json = false

    @Flag(help: .hidden)
    var quiet = false

    @OptionGroup var picture: PictureFlags
    @OptionGroup(title: "Workers") var workers: LocalFlags
    @OptionGroup(title: "Computation") var engine: EngineFlags
    @OptionGroup(title: "Of a render, without effect here") var outputs: OutputFlags
    @OptionGroup(title: "Of a render, without effect here") var job: JobFlags

    func run() throws {
        try ExitStatus.reporting {
            try workers.checkHosts()
            var options = try picture.options()
            let source = WorkerSource(
                local: workers,
                model: picture.model,
                engine: engine.comparing(outputs.inputs)
            )
            try source.complete(&options)
            try outputs.places.validate()
            if let folder = job.jobDir { try JobFolder.checkFree(folder) }
            let session = try RenderSession(options)
            try session.checkWeights()
            try session.checkPicture()
            for line in session.notices { StandardError.write(line) }
            let speeds = measure ? try speeds(session, source) : nil
            let weights = try session.weightBytes()
            if json {
                try StandardOutput.write(
                    json: PlanReport(session.plan, weights: weights, speeds: speeds)
                )
            } else {
                try StandardOutput.write(
                    lines: PlanTable.lines(
                        session.plan,
                        prompts: session.prompts,
                        weights: weights,
                        speeds: speeds
                    )
                )
            }
        }
    }

    private func speeds(
        _ session: RenderSession,
        _ source: WorkerSource
    ) throws -> MeasuredSpeeds {
        let logger = Logger(label: "tessera") { _ in StandardErrorLog(level: .warning) }
        try source.engine.options(threads: 1).check()
        let interruption = Interruption()
        Interrupts.handle(interruption.happen)
        let identity = try ModelIdentity(of: session.model)
        let workers = try source.open(session, identity, logger)
        defer { workers.stop() }
        let (job, cancellation) = (
            workers.cluster.open(session.plan.model, wire: session.plan.settings.wire),
            Cancellation()
        )
        defer { job.end() }
        interruption.whenItHappens {
            cancellation.cancel()
            job.cancel()
        }
        try workers.prepare(cancellation)
        let prompts = try session.encodedPrompts(source.engine.conditioning)
        let globalPass = session.globalPass(
            source.engine.options(threads: HostCores.count),
            identity,
            cancellation: cancellation
        )
        source.awaitLocal(workers)
        return try session.speeds(
            on: job,
            prompts: prompts,
            globalPass: globalPass,
            statistics: { workers.cluster.statistics }
        )
    }
}
