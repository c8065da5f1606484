import ArgumentParser
import Coordinator
import Engine

/// `tessera render`: renders pictures on workers that it starts itself.
struct Render: RenderCommand {
    static let configuration = CommandConfiguration(
        abstract: "Renders a picture, or several, on workers that it starts on this host."
    )

    @OptionGroup var picture: PictureFlags
    @OptionGroup(title: "Workers") var local: LocalFlags
    @OptionGroup(title: "Workers") var verify: VerifyFlags
    @OptionGroup(title: "Computation") var engine: EngineFlags
    @OptionGroup(title: "Output") var outputs: OutputFlags
    @OptionGroup(title: "Output") var display: DisplayFlags
    @OptionGroup(title: "Saving and resuming") var job: JobFlags

    func run() throws {
        try ExitStatus.reporting {
            let flags = Invocation.flags
            let list = try PictureList<Render>(defaults: flags.defaults, given: flags.given)
            try ConsoleSeries(list: list).run()
        }
    }

    private func source() throws(InputError) -> WorkerSource {
        try WorkerSource(local, picture, engine.comparing(outputs.inputs))
    }

    func rendering() throws -> Rendering {
        let source = try source()
        var options = try picture.options()
        try source.complete(&options)
        return Rendering(
            options: options,
            outputs: outputs.places,
            computation: source.engine.computation,
            logger: StandardErrorLog.logger
        ).verified(verify)
    }

    func opening() throws -> Rendering.Opening { try source().open }
}
