import ArgumentParser
import Coordinator
import Engine
import Protocol

/// Flags that decide the picture; shared by `render`, `coordinator` and `plan`.
struct PictureFlags: ParsableArguments {
    @Option(help: "What the picture shows.")
    var prompt = ""

    @Option(help: "What the picture must not show.")
    var negativePrompt: String?

    @OptionGroup var model: ModelFlags
    @OptionGroup var text: TextFlags

    @Option(
        help: ArgumentHelp(
            "Size in pixels. (default: twice the model's native side, at least 1024; the size of "
                + "--init-image, at least the native side)",
            valueName: "WxH"
        )
    )
    var size: Extent?

    @OptionGroup var start: StartFlags

    @Option(help: "Timesteps of each phase.")
    var steps = 50

    @Option(help: "Strength of the prompt; at or below 1 it is not amplified.")
    var guidance: Float = 7.5

    @Option(help: "Number that the picture follows from.")
    var seed: UInt64 = 0

    @Option(help: "Generator of random numbers: as PyTorch on a CPU or on CUDA.")
    var rng = RandomKind.torch

    @Option(help: "Scheduler. (default: the model's own)")
    var scheduler: SchedulerKind?

    @Flag(help: "Space the noise levels as Karras et al. do.")
    var karras = false

    @Option(
        help: ArgumentHelp(
            "Distance between windows in latent pixels, or 'window': side by side, cut elsewhere at "
                + "every step, for speed. (default: half a window)",
            valueName: "n|window"
        )
    )
    var stride: WindowStride?

    @OptionGroup var method: MethodFlags

    @Option(
        help: ArgumentHelp(
            "How much each pixel of a window counts where windows overlap. (default: uniform; "
                + "gaussian with --method refine)",
            valueName: "uniform|gaussian"
        )
    )
    var windowWeight: WindowWeight?

    @Option(
        help: ArgumentHelp(
            "Exponents of the skip residual, the dilated path and the blur.",
            valueName: "a,b,c"
        )
    )
    var cosineScales = NumberList([3, 1, 1])

    @Option(help: "Blur before dilated sampling, in latent pixels.")
    var sigma = 0.8

    @Option(
        help: ArgumentHelp(
            "Scales of the phases, or 'auto': as few UNet evaluations as steps of at most 2 "
                + "allow. (default: every whole scale up to the target)",
            valueName: "1,2,4|auto"
        )
    )
    var ladder: LadderArgument?

    @Option(
        help: ArgumentHelp(
            "Leave out windows and lattices whose share of the fused prediction is smaller at a "
                + "timestep; changes the picture a little.",
            valueName: "share"
        )
    )
    var skipBelow = 0.0

    @Option(help: "What windows meet beyond the edge.")
    var border = Border.inside

    @Option(help: "How latents travel to and from workers; f16 changes the picture's bits.")
    var wire = WireFormat.f32

    @Option(
        help: ArgumentHelp(
            "Who renders phase 1: the coordinator, which loads the UNet for it, or the workers, each "
                + "half of guidance on another one. The picture is the same.",
            valueName: "who"
        )
    )
    var globalPass = GlobalPass.coordinator

    func options() throws -> PictureOptions {
        PictureOptions(
            prompt: prompt,
            negativePrompt: negativePrompt,
            model: model.model,
            modelOptions: try model.options(text: text),
            size: size,
            steps: steps,
            guidance: guidance,
            seed: seed,
            random: rng,
            scheduler: scheduler,
            karras: karras,
            stride: stride,
            windowWeight: windowWeight,
            method: method.method,
            cosine: try CosineSchedule.parsed(exponents: cosineScales.values, sigma: sigma),
            ladder: try ladder?.choice() ?? .everyScale,
            skipBelow: skipBelow,
            border: border,
            picture: try start.choice(),
            wire: wire,
            globalPass: globalPass
        )
    }
}

/// Numbers separated by commas.
struct NumberList: ExpressibleByArgument, CustomStringConvertible {
    let values: [Double]

    init(_ values: [Double]) {
        self.values = values
    }

    init?(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
        let values = parts.compactMap { Double($0) }
        guard values.count == parts.count else { return nil }
        self.values = values
    }

    var description: String {
        values.map { $0 == $0.rounded() ? String(Int($0)) : String($0) }.joined(separator: ",")
    }

    var defaultValueDescription: String { description }
}

/// What `--ladder` may say.
enum LadderArgument: ExpressibleByArgument {
    case auto
    case scales(NumberList)

    init?(argument: String) {
        if argument == "auto" {
            self = .auto
        } else if let list = NumberList(argument: argument) {
            self = .scales(list)
        } else {
            return nil
        }
    }

    /// - Throws: `InputError` for scales that do not rise from 1
    func choice() throws(InputError) -> LadderChoice {
        switch self {
        case .auto: .cheapest
        case .scales(let list): .given(try Ladder(scales: list.values))
        }
    }
}

extension WindowStride: ExpressibleByArgument {
    package init?(argument: String) {
        if argument == "window" {
            self = .window
        } else if let stride = Int(argument) {
            self = .every(stride)
        } else {
            return nil
        }
    }
}

extension Extent: ExpressibleByArgument {
    package init?(argument: String) {
        let sides = argument.lowercased().split(separator: "x", omittingEmptySubsequences: false)
        guard sides.count == 2, let width = Int(sides[0]), let height = Int(sides[1]),
            width > 0, height > 0
        else { return nil }
        self.init(height: height, width: width)
    }
}

extension WindowWeight: ExpressibleByArgument {}
extension WireFormat: ExpressibleByArgument {}
extension GlobalPass: ExpressibleByArgument {}
extension Border: ExpressibleByArgument {}
extension RandomKind: ExpressibleByArgument {}
extension SchedulerKind: ExpressibleByArgument {}
extension PredictionType: ExpressibleByArgument {}
extension BackendKind: ExpressibleByArgument {}
extension Precision: ExpressibleByArgument {}
