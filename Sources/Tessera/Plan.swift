import ArgumentParser
import Coordinator
import Engine
import Sampling

/// `tessera plan`: estimates the cost of a render without rendering.
struct Plan: PictureCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows what a render would do and what it would cost, without rendering."
    )

    @Flag(
        help: ArgumentHelp(
            "Start the workers, time a few views of the render on them, and estimate the total time."
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
    @OptionGroup(title: "Render options, ignored here") var outputs: OutputFlags
    @OptionGroup(title: "Render options, ignored here") var job: JobFlags
    @OptionGroup(title: "Render options, ignored here") var verify: VerifyFlags

    func run() throws {
        try ExitStatus.reporting {
            let flags = Invocation.flags
            let list = try PictureList<Plan>(defaults: flags.defaults, given: flags.given)
            for line in list.warnings { StandardError.write("warning: \(line)") }
            let control = RenderControl()
            if measure { Interrupts.handle(mayHang: true, control.cancel) }
            let console = RenderConsole(isQuiet: quiet, isSeries: list.isSeries)
            let shared = SharedWorkers()
            defer { shared.stop() }
            // Only of the first picture: keeping all sessions would fill the memory.
            var shown: (session: RenderSession, speeds: MeasuredSpeeds?, use: PlanReport.Use)?
            var prices: [PresetPrice] = []
            let groups = try list.groups.map { index, count in
                let command = list.command(index)
                let rendering = try list.rendering(index, command)
                let session = try list.located(index) {
                    // The others have the same weights, unless they use another model.
                    shown == nil || measure
                        ? try rendering.session(control: control, observe: console.show)
                        : try RenderSession(rendering.options)
                }
                let open = try command.source().openAll
                let speeds =
                    measure
                    ? try rendering.speeds(
                        of: session,
                        on: list.isSeries ? shared.opening(open) : open,
                        control: control
                    ) : nil
                let use = PlanReport.Use(session, rendering.computation)
                if shown == nil {
                    shown = (session, speeds, use)
                    prices = PresetPrice.all(rendering.options, speeds: speeds)
                }
                return SeriesPlan.Group(
                    first: index,
                    count: count,
                    seed: list.seed(index),
                    prompt: rendering.options.prompt,
                    picture: rendering.outputs.picture,
                    plan: session.plan,
                    speeds: speeds,
                    use: use
                )
            }
            guard let first = shown else { preconditionFailure("there are no pictures") }
            let weights = try first.session.weightBytes()
            let (plan, speeds) = (first.session.plan, first.speeds)
            if json {
                let report = PlanReport.WithUse(
                    PlanReport(plan, weights: weights, speeds: speeds),
                    first.use,
                    prices
                )
                if list.isSeries {
                    try StandardOutput.write(json: SeriesPlan(groups, weights: weights).report)
                } else {
                    try StandardOutput.write(json: report)
                }
            } else {
                let lines = PlanTable.lines(
                    plan,
                    prompts: first.session.prompts,
                    suggestion: first.session.suggestion,
                    use: first.use,
                    weights: weights,
                    speeds: speeds
                )
                try StandardOutput.write(
                    lines: lines + PresetPrice.lines(prices)
                        + (list.isSeries ? SeriesPlan(groups, weights: weights).lines : [])
                )
            }
        }
    }

    private func source() throws(InputError) -> WorkerSource {
        try WorkerSource(workers, picture, engine.comparing(outputs.inputs))
    }

    func rendering() throws -> Rendering {
        let source = try source()
        var options = try picture.options()
        try source.complete(&options)
        var saving = Saving.nothing
        saving.folder = job.jobDir
        return Rendering(
            options: options,
            outputs: outputs.places,
            computation: source.engine.computation,
            saving: saving,
            logger: StandardErrorLog.logger
        )
    }
}
