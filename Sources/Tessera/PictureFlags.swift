import ArgumentParser
import Coordinator
import Engine
import Foundation
import Protocol
import Sampling

/// Flags that decide the picture; shared by `render`, `coordinator` and `plan`.
struct PictureFlags: ParsableArguments {
    @OptionGroup(title: "Picture") var subject: SubjectFlags
    @OptionGroup(title: "Model") var model: ModelFlags
    @OptionGroup(title: "Model") var text: TextFlags
    @OptionGroup(title: "Sampling") var sampling: SamplingFlags
    @OptionGroup(title: "Start from a picture") var start: StartFlags
    @OptionGroup(title: "Large pictures") var method: MethodFlags
    @OptionGroup(title: "Large pictures") var large: LargePictureFlags
    @OptionGroup(title: "Computation") var exchange: ExchangeFlags

    func options() throws -> PictureOptions {
        PictureOptions(
            prompt: subject.prompt,
            negativePrompt: subject.negativePrompt,
            model: model.model,
            modelOptions: try model.options(text: text),
            size: subject.size,
            steps: sampling.steps,
            guidance: sampling.guidance,
            seed: subject.seed.value,
            random: sampling.rng,
            scheduler: sampling.scheduler,
            karras: sampling.karras,
            schedule: sampling.schedule.choice,
            usesModelPreset: !sampling.schedule.noModelPreset,
            stride: large.stride,
            windowWeight: large.windowWeight,
            method: try method.choice(),
            cosine: try CosineSchedule.parsed(
                exponents: large.cosineScales.values,
                sigma: large.sigma
            ),
            ladder: try large.ladder?.choice() ?? .everyScale,
            skipBelow: large.skipBelow,
            border: large.border,
            picture: try start.choice(),
            wire: exchange.wire,
            globalPass: exchange.globalPass
        )
    }
}

/// What the picture shows, and its size.
struct SubjectFlags: ParsableArguments {
    @Option(help: "What the picture shows.")
    var prompt = ""

    @Option(help: "What the picture must not show.")
    var negativePrompt: String?

    @Option(
        help: ArgumentHelp(
            "Size in pixels. (default: twice the model's native side, at least 1024; the size of "
                + "--init-image, at least the native side)",
            valueName: "WxH"
        )
    )
    var size: Extent?

    @Option(help: ArgumentHelp("Random seed; -1 chooses one and prints it.", valueName: "n|-1"))
    var seed = Seed(value: 0)
}

/// How noise becomes a picture, at any size.
struct SamplingFlags: ParsableArguments {
    @Option(help: "Timesteps of each phase. (default: 50; as it says in a distilled model's name)")
    var steps: Int?

    @Option(
        help: ArgumentHelp(
            "Strength of the prompt; at or below 1 it is not amplified. (default: 7.5; 1 for a "
                + "distilled model)"
        )
    )
    var guidance: Float?

    @Option(help: "Scheduler. (default: the model's own)")
    var scheduler: SchedulerKind?

    @Flag(help: "Space the noise levels as Karras et al. do.")
    var karras = false

    @OptionGroup var schedule: ScheduleFlags

    @Option(help: "Generator of random numbers: as PyTorch on a CPU or on CUDA.")
    var rng = RandomKind.torch
}

/// How a picture larger than the model's own is put together.
struct LargePictureFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Distance between windows in latent pixels, or 'window': side by side, cut elsewhere at "
                + "every step, for speed. (default: half a window; three "
                + "quarters of one with --method refine)",
            valueName: "n|window"
        )
    )
    var stride: WindowStride?

    @Option(
        help: ArgumentHelp(
            "How much each pixel of a window counts where windows overlap. (values: uniform, gaussian; "
                + "default: uniform, and gaussian with --method refine)"
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
}

/// What goes to workers, and how.
struct ExchangeFlags: ParsableArguments {
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
}

/// A random seed as it was asked for.
struct Seed: ExpressibleByArgument, CustomStringConvertible {
    let value: UInt64
    /// Whether it was chosen here.
    let isChosen: Bool

    init(value: UInt64, isChosen: Bool = false) {
        (self.value, self.isChosen) = (value, isChosen)
    }

    init?(argument: String) {
        if argument == "-1" {
            // As many bits as other programs' seeds have.
            self.init(value: .random(in: 0..<(1 << 32)), isChosen: true)
        } else if let value = UInt64(argument) {
            self.init(value: value)
        } else {
            return nil
        }
    }

    var description: String { "\(value)" }
    var defaultValueDescription: String { description }
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
        // With the × that we print ourselves, too.
        let sides = argument.lowercased().replacing("×", with: "x")
            .split(separator: "x", omittingEmptySubsequences: false)
            .map { Int($0.trimmingCharacters(in: .whitespaces)) }
        guard sides.count == 2, let width = sides[0], let height = sides[1], width > 0, height > 0
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
extension TimestepSpacing: ExpressibleByArgument {}
extension FinalSigma: ExpressibleByArgument {}
