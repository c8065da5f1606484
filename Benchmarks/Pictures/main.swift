// Benchmarks of very large pictures. Prints one JSON object.
//     Pictures memory SIDE OUTPUT [PICTURE]
//                                     the coordinator's memory for a render, without workers
//     Pictures difference MODEL SIDE BACKEND PRECISION [TILE]
//                                     how far tiles are from one decode of the whole, in levels of 255
//     Pictures encoding MODEL SIDE BACKEND PRECISION [TILE]
//                                     the same of one encode, in deviations of the latent

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
struct ShapesOnly: UnitRenderer {
    let model: ModelGeometry

    func evaluate(_ units: [WorkUnit], onDone: (Int) throws -> Void) throws -> [WorkResult] {
        try units.enumerated().map { place, unit in
            try onDone(place)
            guard case .autoencode(let half, let part) = unit.work else {
                return WorkResult(tensor: unit.input.map { $0 * 0.1 })
            }
            let (shape, network) = (unit.input.shape, model.network(half))
            let factor = half == .encoder ? 8 : 1
            let core = (part?.margins ?? .none)
                .core(height: shape[1] / factor, width: shape[2] / factor)
            guard let part, part.norms > 0 else {
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
                statistics: Array(repeating: moments, count: part.norms * network.groups)
            )
        }
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

/// Large forms and small ones.
func forms(_ side: Int, channels: Int, deviation: Float) -> Tensor {
    let large = TorchRandom.normal(seed: 4, count: 64 * channels)
    let noise = TorchRandom.normal(seed: 3, count: side * side * channels)
    return Tensor(shape: [1, side, side, channels]) { out in
        for i in out.indices {
            let (row, column) = (i / channels / side, i / channels % side)
            let form = (row * 8 / side * 8 + column * 8 / side) * channels + i % channels
            out[i] = deviation * (noise[i] + large[form])
        }
    }
}

func encoding(model: String, side: Int, options: EngineOptions, tile: Int) throws {
    let vae = try VAE(model: Model(path: model), options: options, halves: [.encoder])
    let config = vae.config
    let picture = forms(side * config.factor, channels: 3, deviation: 0.3)
    var start = ContinuousClock.now
    let whole = try vae.latent(of: picture)
    let wholeTime = start.duration(to: .now)
    start = .now
    let plan = TilePlan(
        latent: Extent(height: side, width: side),
        factor: config.factor,
        network: config.encoder,
        wholeArea: 0,
        side: tile
    )
    var passes = 0
    let source = PictureTiles(latent: plan.latent, factor: plan.factor) { picture.cut($0) }
    let tiles = try TiledEvaluation(
        source,
        plan: plan,
        on: DirectRenderer(vae),
        copyArea: side * side / 4
    ) {
        if case .measuring = $0 { passes += 1 }
    }
    let deviation = whole.meanAndDeviation().deviation
    var largest: Float = 0
    for row in plan.rows {
        let band = Tensor(sideBySide: try tiles.row(row))
        let same = whole.cut(Region(rows: row, columns: 0..<side))
        largest = max(largest, band.zip(same) { abs($0 - $1) / deviation }.values.max() ?? 0)
    }
    print(
        "{\"encode_max_difference_deviations\": \(largest), \"encode_passes\": \(passes), "
            + "\"encode_whole_seconds\": \(wholeTime / .seconds(1)), \"encode_seconds\": "
            + "\(start.duration(to: .now) / .seconds(1))}"
    )
}

func difference(model: String, side: Int, options: EngineOptions, tile: Int) throws {
    let vae = try VAE(model: Model(path: model), options: options, halves: [.decoder])
    let config = vae.config
    let latent = forms(
        side,
        channels: config.latentChannels,
        deviation: 0.7 / config.scalingFactor
    )
    var start = ContinuousClock.now
    let whole = try vae.decode(latent)
    let wholeTime = start.duration(to: .now)
    start = .now
    let plan = TilePlan(
        latent: Extent(height: side, width: side),
        factor: config.factor,
        network: config.decoder,
        wholeArea: 0,
        side: tile
    )
    var passes = 0
    let tiles = try TiledEvaluation(
        latent,
        plan: plan,
        on: DirectRenderer(vae),
        copyArea: side * side / 4
    ) {
        if case .measuring = $0 { passes += 1 }
    }
    let prepared = start.duration(to: .now)
    var (largest, sum) = (Float(0), 0.0)
    for row in plan.rows {
        let band = Tensor(sideBySide: try tiles.row(row))
        let same = whole.cropped(
            top: row.lowerBound * config.factor,
            left: 0,
            height: band.shape[1],
            width: band.shape[2]
        )
        for value in band.zip(same, { abs($0 - $1) * 127.5 }).values {
            largest = max(largest, value)
            sum += Double(value)
        }
    }
    print(
        "{\"decode_max_difference_levels\": \(largest), \"decode_mean_difference_levels\": "
            + "\(sum / Double(whole.count)), \"decode_passes\": \(passes), \"decode_whole_seconds\": "
            + "\(wholeTime / .seconds(1)), \"decode_measuring_seconds\": \(prepared / .seconds(1)), "
            + "\"decode_tiles_seconds\": \((start.duration(to: .now) - prepared) / .seconds(1))}"
    )
}

switch (arguments.dropFirst().first, arguments.count) {
case ("memory", 4...5):
    try memory(
        side: Int(arguments[2]) ?? 16384,
        output: arguments[3],
        start: arguments.count > 4 ? arguments[4] : nil
    )
case (let way?, 6...7) where ["difference", "encoding"].contains(way):
    let compare = way == "encoding" ? encoding : difference
    try compare(
        arguments[2],
        Int(arguments[3]) ?? 64,
        EngineOptions(
            backend: BackendKind(rawValue: arguments[4]) ?? .onednn,
            precision: Precision(rawValue: arguments[5]) ?? .f32,
            threads: 2
        ),
        arguments.count > 6 ? Int(arguments[6]) ?? 96 : 96
    )
default:
    print(
        "Pictures memory SIDE OUTPUT [PICTURE] | Pictures difference|encoding MODEL SIDE BACKEND "
            + "PRECISION [TILE]"
    )
    exit(64)
}
