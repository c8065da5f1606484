import ArgumentParser
import Coordinator

/// `tessera render`: renders one picture on workers that it starts itself.
struct Render: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Renders a picture on workers that it starts on this host."
    )

    @OptionGroup var picture: PictureFlags
    @OptionGroup(title: "Workers") var local: LocalFlags
    @OptionGroup(title: "Computation") var engine: EngineFlags
    @OptionGroup(title: "Output") var outputs: OutputFlags
    @OptionGroup(title: "Output") var display: DisplayFlags
    @OptionGroup(title: "Saving and resuming") var job: JobFlags

    func run() throws {
        try ExitStatus.reporting { try render(nil) }
    }

    /// - Parameter resumed: the job to resume
    /// - Throws: whatever ends the render
    func render(_ resumed: Rendering.Resumed?) throws {
        try local.checkHosts()
        var options = try picture.options()
        let source = WorkerSource(
            local: local,
            model: try picture.modelFlags(),
            engine: engine.comparing(outputs.inputs)
        )
        try source.complete(&options)
        let render = ConsoleRender(
            options: options,
            outputs: outputs.places,
            engine: source.engine,
            job: job,
            display: display,
            seed: picture.subject.seed,
            command: "render",
            resumed: resumed
        )
        try render.run(source.open)
    }
}
