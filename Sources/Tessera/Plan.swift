import ArgumentParser
import Coordinator
import Engine
import Sampling

/// `tessera plan`: estimates the cost of a render without rendering.
struct Plan: ParsableCommand {
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

    func run() throws {
        try ExitStatus.reporting {
            try workers.checkHosts()
            var options = try picture.options()
            let source = WorkerSource(
                local: workers,
                model: try picture.modelFlags(),
                engine: engine.comparing(outputs.inputs)
            )
            try source.complete(&options)
            var saving = Saving.nothing
            saving.folder = job.jobDir
            let rendering = Rendering(
                options: options,
                outputs: outputs.places,
                computation: source.engine.computation,
                saving: saving,
                logger: StandardErrorLog.logger
            )
            let control = RenderControl()
            if measure { Interrupts.handle(control.cancel) }
            let console = RenderConsole(isQuiet: quiet)
            let session = try rendering.session(control: control, observe: console.show)
            let speeds =
                measure
                ? try rendering.speeds(of: session, on: source.openAll, control: control) : nil
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
                        suggestion: session.suggestion,
                        weights: weights,
                        speeds: speeds
                    )
                )
            }
        }
    }
}
