// Benchmarks of very large pictures. Prints one JSON object.
//     Pictures memory SIDE OUTPUT [PICTURE]
//                                     the coordinator's memory for a render, without workers
//     Pictures difference MODEL SIDE BACKEND PRECISION [TILE [MEGABYTES [ROUNDS]]]
//                                     tiles against one decode of the whole: difference in levels of 255, time. At most
//                                     MEGABYTES of tiles are kept in memory between two norms
//     Pictures encoding MODEL SIDE BACKEND PRECISION [TILE [MEGABYTES [ROUNDS]]]
//                                     the same for one encode, in standard deviations of the latent

import Coordinator
import DirectRendering
import Engine
import Foundation
import Protocol
import Sampling

let arguments = CommandLine.arguments

/// Peak memory of this process in gigabytes.
func peak() throws -> Double {
    let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
    let kilobytes = line?.split(whereSeparator: \.isWhitespace).dropFirst().first
    return (kilobytes.flatMap { Double($0) } ?? 0) * 1024 / 1e9
}

/// Returns results of the right shapes at no cost, so that only the coordinator is measured.
struct ShapesOnly: UnitByUnit {
    let model: ModelGeometry

    func result(of unit: WorkUnit, at place: Int) throws -> WorkResult {
        guard case .autoencode(let half, let part) = unit.work else {
            return WorkResult(tensor: unit.input.map { $0 * 0.1 })
        }
        let (shape, network) = (unit.input.shape, model.network(half))
        let factor = half == .encoder ? 8 : 1
        let core = (part?.margins ?? .none)
            .core(height: shape[1] / factor, width: shape[2] / factor)
        guard let part, part.norm > 0 else {
            return WorkResult(
                tensor: half == .decoder
                    ? picture(of: unit.input, core)
                    : Tensor(zeros: [1, core.rows.count, core.columns.count, 4])
            )
        }
        let tokens = part.tokens.map { lattice in
            let places = lattice.places(height: core.rows.count, width: core.columns.count)
            return Tensor(zeros: [1, places.rows.count, places.columns.count, network.width])
        }
        let moments = Moments(mean: 0, variance: 1)
        return WorkResult(
            tensor: tokens,
            statistics: Array(repeating: moments, count: network.groups)
        )
    }

    /// The latent's first channels, each pixel repeated 8 × 8 times.
    private func picture(of latent: Tensor, _ core: Region) -> Tensor {
        let (width, channels) = (latent.shape[2], latent.shape[3])
        return Tensor(shape: [1, 8 * core.rows.count, 8 * core.columns.count, 3]) { out in
            latent.withFloats { x in
                var at = 0
                for row in 0..<8 * core.rows.count {
                    let line = (core.rows.lowerBound + row / 8) * width
                    for column in 0..<8 * core.columns.count {
                        let pixel = line + core.columns.lowerBound + column / 8
                        for channel in 0..<3 {
                            out[at] = x[pixel * channels + channel]
                            at += 1
                        }
                    }
                }
            }
        }
    }
}

func memory(side: Int, output: String, start: String?) throws {
    var settings = SettingChoices()
    settings.set(Settings.size, to: Extent(height: side, width: side))
    settings.set(Settings.steps, to: 2)
    settings.set(Settings.random, to: .philox)
    settings.set(Settings.ladder, to: .given(try Ladder(scales: [1, Double(side / 256)])))
    settings.set(Settings.globalPass, to: .workers)
    let session = try RenderSession(
        PictureOptions(
            prompt: "-",
            model: "Models/vista",
            settings: settings,
            picture: start.map { PictureChoice(path: $0) }
        )
    )
    let prompt = Embedding(context: Tensor(zeros: [1, 1, 1]))
    try session.render(
        on: ShapesOnly(model: session.plan.model),
        prompts: Prompts(positive: prompt, negative: prompt),
        digest: "-",
        outputs: .init(picture: output)
    ) { event in
        if case .decoding = event {
            FileHandle.standardError.write(Data("decoding at \(try peak()) GB\n".utf8))
        }
    }
    print("{\"render_\(side)_coordinator_gb\": \(String(format: "%.2f", try peak()))}")
}

switch (arguments.dropFirst().first, arguments.count) {
case ("memory", 4...5):
    try memory(
        side: Int(arguments[2]) ?? 16384,
        output: arguments[3],
        start: arguments.count > 4 ? arguments[4] : nil
    )
case (let way?, 6...9) where ["difference", "encoding"].contains(way):
    try compare(
        way == "encoding" ? .encoder : .decoder,
        model: arguments[2],
        side: Int(arguments[3]) ?? 64,
        options: EngineOptions(
            backend: BackendKind(rawValue: arguments[4]) ?? .onednn,
            precision: Precision(rawValue: arguments[5]) ?? .f32,
            threads: 2
        ),
        tile: arguments.count > 6 ? Int(arguments[6]) ?? TilePlan.side : TilePlan.side,
        tileBytes: arguments.count > 7 ? (Int(arguments[7]) ?? 0) << 20 : TileStates.bytes,
        rounds: arguments.count > 8 ? max(2, Int(arguments[8]) ?? 2) : 4
    )
default:
    print(
        "Pictures memory SIDE OUTPUT [PICTURE] | Pictures difference|encoding MODEL SIDE BACKEND "
            + "PRECISION [TILE [MEGABYTES [ROUNDS]]]"
    )
    exit(64)
}
