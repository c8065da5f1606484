import ArgumentParser
import Coordinator
import Engine

/// `tessera inspect`: shows the contents of a model or LoRA file, and what is missing.
struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Describes a model or an adapter (LoRA and others): family, parts, digest, and what is missing.",
        discussion: "Exits with status 64 if the model cannot be used to render."
    )

    @Argument(
        help: "A folder in Diffusers layout, or a .safetensors file.",
        completion: .file(extensions: ["safetensors"])
    )
    var path: String

    @Option(
        help: ArgumentHelp(
            "An adapter to merge, as render takes it; may be repeated.",
            valueName: "file[:weight][:te=weight]"
        ),
        completion: .file(extensions: ["safetensors"])
    )
    var lora: [String] = []

    @Option(
        help: ArgumentHelp("Configurations for a single file.", valueName: "dir"),
        completion: .directory
    )
    var modelConfig: String?

    @OptionGroup var parts: ModelPartFlags
    @OptionGroup var text: TextFlags

    @Flag(help: "Print one line of JSON.")
    var json = false

    func run() throws {
        try ExitStatus.reporting {
            var sources: [LoRASource] = []
            for argument in lora { sources.append(try LoRASource(argument: argument)) }
            var report = try ModelReport(
                path: path,
                options: ModelOptions(
                    config: modelConfig,
                    tokenizer: text.tokenizer,
                    vocabulary: ModelLocation.vocabulary,
                    prediction: text.prediction,
                    loras: sources,
                    embeddings: try text.sources(),
                    vae: parts.vae,
                    base: parts.base,
                    refiner: try parts.source()
                ),
                readsWeights: true
            )
            do throws(InputError) {
                if report.kind != "LoRA",
                    let defaults = try ModelDefaults(ofModel: path, geometry: nil)
                {
                    report.add("defaults", "\(defaults.summary), from \(defaults.path)")
                }
            } catch {
                report.add(fault: error)
            }
            if json {
                try StandardOutput.write(report.json)
            } else {
                try StandardOutput.write(lines: report.lines)
            }
            if let refusal = report.refusal { throw refusal }
        }
    }
}
