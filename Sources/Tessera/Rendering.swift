import Coordinator
import Engine
import Foundation
import Logging
import Protocol

/// What `render` and `coordinator` share: from flags to the picture, on workers that `open` brings.
struct Rendering {
    let options: PictureOptions
    let outputs: RenderSession.Outputs
    let engine: EngineFlags

    /// Workers to render on, and how to end them.
    struct Workers {
        let renderer: any ViewRenderer
        let cancel: @Sendable () -> Void
        let stop: () -> Void
        let statistics: () -> [WorkerStatistics]
    }

    /// Renders the picture and writes it.
    ///
    /// - Parameter open: starts or awaits workers that have the model
    /// - Throws: whatever ends the render; the workers are stopped first
    func run(_ open: (RenderSession, ModelIdentity, Logger) throws -> Workers) throws {
        let logger = Logger(label: "tessera") { _ in StandardErrorLog(level: .warning) }
        guard !options.prompt.isEmpty else {
            throw InputError("--prompt", "it is missing", fix: "Say what the picture shows")
        }
        try outputs.validate()
        try engine.options(threads: 1).check()
        let interruption = Interruption()
        Interrupts.handle(interruption.happen)
        let session = try RenderSession(options)
        try session.checkWeights()
        let identity = try ModelIdentity(of: session.model)
        let workers = try open(session, identity, logger)
        defer { workers.stop() }
        interruption.whenItHappens(workers.cancel)
        let display = ProgressDisplay(plan: session.plan, isTerminal: isatty(2) == 1)
        defer { display.clear() }
        let conditioning = try session.conditioning(engine.conditioning)
        try workers.renderer.begin(
            JobDescription(
                positive: PromptTensors(conditioning.positive),
                negative: conditioning.negative.map(PromptTensors.init),
                vaeFactor: session.plan.model.vaeFactor
            )
        )
        try session.render(on: workers.renderer, digest: identity.digest, outputs: outputs) {
            display.show($0)
        }
        workers.renderer.end()
        for worker in workers.statistics() { display.note(Self.line(worker)) }
        display.note("\(outputs.picture): \(session.plan.settings.size)")
    }

    private static func line(_ worker: WorkerStatistics) -> String {
        let seconds = worker.busy / .seconds(1)
        let rate = seconds > 0 ? Double(worker.views) / seconds : 0
        return "\(worker.name): \(worker.views) views, \(worker.tiles) tiles, "
            + String(format: "%.1f views/s", rate)
    }
}
