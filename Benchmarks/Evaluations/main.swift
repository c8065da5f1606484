import Engine
import Foundation

// One network of a model, evaluated on request: for every line on standard input it evaluates once
// and prints the seconds that took and the most memory that it has held so far, in bytes.
//
//     Evaluations MODEL unet|decoder|product BACKEND PRECISION THREADS INPUTS OUTPUT
//
// With an eighth argument it says on standard error how long each kind of operation took.
// INPUTS and OUTPUT are safetensors; the first line printed is about loading. `product` is a large
// matrix product instead of a network: what the processor can do at best.

let arguments = CommandLine.arguments.dropFirst()
guard (7...8).contains(arguments.count) else { fatalError("seven or eight arguments") }
let words = Array(arguments)
guard let backend = BackendKind(rawValue: words[2]), let precision = Precision(rawValue: words[3]),
    let threads = Int(words[4])
else { fatalError("no such backend, precision or number of threads") }
let options = EngineOptions(backend: backend, precision: precision, threads: threads)

/// The most memory that this process has held.
func mostMemory() -> Int {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
    return (line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0)
        * 1024
}

func report(since start: ContinuousClock.Instant) {
    print((ContinuousClock.now - start) / .seconds(1), mostMemory())
    fflush(nil)
}

/// The backend that is measured, when that was asked for.
nonisolated(unsafe) var timed: TimedBackend?

func wrap(_ backend: any Backend) -> any Backend {
    guard words.count == 8 else { return backend }
    let measured = TimedBackend(backend)
    timed = measured
    return measured
}

/// Loads what is to be measured.
func evaluation() throws -> () throws -> Tensor {
    switch words[1] {
    case "product":
        let (rows, width) = (4096, 4096)
        let backend = try options.makeBackend()
        let matrix = Tensor(shape: [width, width]) { $0.update(repeating: 0.01) }
        let weights = try backend.prepareLinear(inputs: width, outputs: width, hasBias: false) {
            Parameters(matrix)
        }
        let x = backend.upload(Tensor(shape: [1, rows, width]) { $0.update(repeating: 1) })
        let one = Tensor([0], shape: [1])
        return {
            _ = backend.linear(x, weights, then: .identity, with: nil)
            return one
        }
    case "unet":
        let inputs = try SafeTensors(file: words[5])
        let unet = try UNet(
            model: try Model(path: words[0]),
            options: options,
            wrapping: wrap
        )
        let latents = try inputs.tensor("latents").channelsLast()
        let context = try inputs.tensor("context")
        let timestep = try inputs.tensor("timestep").values[0]
        let pooled = inputs.info("pooled") == nil ? nil : try inputs.tensor("pooled")
        let ids = inputs.info("time_ids") == nil ? nil : try inputs.tensor("time_ids")
        let timeIDs = ids.map { ids in
            (0..<ids.shape[0]).map { row in Array(ids.values[row * 6..<row * 6 + 6]) }
        }
        return {
            try unet.predict(
                latents,
                timestep: timestep,
                context: context,
                pooled: pooled,
                timeIDs: timeIDs
            ).channelsFirst()
        }
    default:
        let inputs = try SafeTensors(file: words[5])
        let vae = try VAE(
            model: try Model(path: words[0]),
            options: options,
            decoderOnly: true,
            wrapping: wrap
        )
        let latent = try inputs.tensor("latents").channelsLast()
        return { try vae.decode(latent).channelsFirst() }
    }
}

let loading = ContinuousClock.now
let evaluate = try evaluation()
report(since: loading)
while readLine() != nil {
    let start = ContinuousClock.now
    let result = try evaluate()
    report(since: start)
    for line in timed?.table() ?? [] { FileHandle.standardError.write(Data("\(line)\n".utf8)) }
    try SafeTensors.write([("output", result)], to: words[6])
}
