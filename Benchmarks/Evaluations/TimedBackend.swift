import Engine
import Foundation

/// A backend that records the time and the number of operations of each kind.
final class TimedBackend: Backend {
    private let inner: any Backend
    private var kinds: [String: (seconds: Double, calls: Int, flops: Double)] = [:]

    init(_ inner: any Backend) {
        self.inner = inner
    }

    /// The kinds by time, longest first; resets the record.
    func table() -> [String] {
        defer { kinds = [:] }
        let all = kinds.values.reduce(0) { $0 + $1.seconds }
        return kinds.sorted { $0.value.seconds > $1.value.seconds }.map { kind, sum in
            String(
                format: "%8.3f s %5.1f %% %6d calls %8.0f GFLOP/s  ",
                sum.seconds,
                100 * sum.seconds / all,
                sum.calls,
                sum.flops / sum.seconds / 1e9
            ) + kind
        }
    }

    private func timed<T>(_ kind: String, flops: Int = 0, _ body: () throws -> T) rethrows -> T {
        let start = ContinuousClock.now
        let result = try body()
        let old = kinds[kind] ?? (0, 0, 0)
        kinds[kind] = (
            old.seconds + (ContinuousClock.now - start) / .seconds(1), old.calls + 1,
            old.flops + Double(flops)
        )
        return result
    }

    private func count(_ x: Activation) -> Int { x.shape.reduce(1, *) }

    func check() throws { try inner.check() }

    func evaluating<T>(_ shape: [Int], _ body: () throws -> T) throws -> T {
        try inner.evaluating(shape, body)
    }

    func persistent<T>(_ body: () -> T) -> T { inner.persistent(body) }

    func checking<T>(_ body: () throws -> T) throws -> T { try inner.checking(body) }
    var isFilled: Bool { inner.isFilled }
    var isAsynchronous: Bool { inner.isAsynchronous }
    func upload(_ tensor: Tensor) -> Activation { timed("upload") { inner.upload(tensor) } }
    func download(_ x: Activation) -> Tensor { timed("download") { inner.download(x) } }

    func prepareLinear(
        inputs: Int,
        outputs: Int,
        hasBias: Bool,
        _ read: () throws -> Parameters
    ) throws -> LinearWeights {
        try inner.prepareLinear(inputs: inputs, outputs: outputs, hasBias: hasBias, read)
    }

    func prepareConv(
        inputs: Int,
        outputs: Int,
        kernel: Int,
        stride: Int,
        _ read: () throws -> Parameters
    ) throws -> ConvWeights {
        try inner.prepareConv(
            inputs: inputs,
            outputs: outputs,
            kernel: kernel,
            stride: stride,
            read
        )
    }

    func prepareNorm(scale: Tensor, shift: Tensor) -> NormWeights {
        inner.prepareNorm(scale: scale, shift: shift)
    }

    func prepareTable(_ table: Tensor) -> TableWeights { inner.prepareTable(table) }

    func linear(
        _ x: Activation,
        _ weights: LinearWeights,
        then f: Nonlinearity,
        with second: Operand?
    ) -> Activation {
        let flops = 2 * count(x) * weights.outputs
        return timed("product \(weights.inputs) to \(weights.outputs), \(f)", flops: flops) {
            inner.linear(x, weights, then: f, with: second)
        }
    }

    func panelOfGates(outputs: Int) -> Int { inner.panelOfGates(outputs: outputs) }

    func gated(_ x: Activation, _ panels: [GatedWeights]) -> Activation {
        let inputs = x.shape[x.shape.count - 1]
        let outputs = panels.reduce(0) { $0 + $1.outputs }
        return timed("gated product \(inputs) to \(outputs)", flops: 4 * count(x) * outputs) {
            inner.gated(x, panels)
        }
    }

    func conv2d(
        _ x: Activation,
        _ weights: ConvWeights,
        padding: Padding,
        residual: Activation?
    ) -> Activation {
        let depth = 2 * weights.inputs * weights.kernel * weights.kernel * weights.outputs
        let pixels = x.shape[0] * x.shape[1] * x.shape[2] / (weights.stride * weights.stride)
        let kind = "convolution \(weights.inputs) to \(weights.outputs) at \(x.shape[1])"
        return timed(kind, flops: depth * pixels) {
            inner.conv2d(x, weights, padding: padding, residual: residual)
        }
    }

    func groupNorm(
        _ x: Activation,
        _ weights: NormWeights,
        groups: Int,
        epsilon: Float,
        plus channelBias: Activation?,
        then f: Nonlinearity,
        overwriting: Bool
    ) -> Activation {
        timed("group norm") {
            inner.groupNorm(
                x,
                weights,
                groups: groups,
                epsilon: epsilon,
                plus: channelBias,
                then: f,
                overwriting: overwriting
            )
        }
    }

    var elementBytes: Int { inner.elementBytes }

    func releaseFreeMemory() { inner.releaseFreeMemory() }

    func read<Failure: Error>(
        _ activation: Activation,
        _ body: (UnsafeRawBufferPointer, Int) throws(Failure) -> Void
    ) throws(Failure) { try inner.read(activation, body) }

    func write<Failure: Error>(
        _ activation: Activation,
        _ body: (UnsafeMutableRawBufferPointer, Int) throws(Failure) -> Void
    ) throws(Failure) { try inner.write(activation, body) }

    var deviceMemory: DeviceMemory? { inner.deviceMemory }

    var readsStoredWeights: Bool { inner.readsStoredWeights }

    func blank(_ shape: [Int]) -> Activation { inner.blank(shape) }

    func moments(_ x: Activation, groups: Int, of region: Region?) -> [Moments] {
        timed("moments") { inner.moments(x, groups: groups, of: region) }
    }

    func normalise(
        _ x: Activation,
        _ weights: NormWeights,
        epsilon: Float,
        by statistics: [Moments],
        then f: Nonlinearity,
        overwriting: Bool
    ) -> Activation {
        timed("normalise") {
            inner.normalise(
                x,
                weights,
                epsilon: epsilon,
                by: statistics,
                then: f,
                overwriting: overwriting
            )
        }
    }

    func pick(_ x: Activation, rows: [Int], columns: [Int]) -> Activation {
        timed("pick") { inner.pick(x, rows: rows, columns: columns) }
    }

    func layerNorm(_ x: Activation, _ weights: NormWeights, epsilon: Float) -> Activation {
        timed("layer norm") { inner.layerNorm(x, weights, epsilon: epsilon) }
    }

    func attention(
        _ queries: Columns,
        _ keys: Columns,
        _ values: Columns,
        heads: Int,
        causal: Bool
    ) -> Activation {
        let (batch, rows) = (queries.activation.shape[0], queries.activation.shape[1])
        let seen = keys.activation.shape[1]
        let kind = "attention of \(rows) to \(seen)"
        return timed(kind, flops: 4 * batch * rows * seen * queries.count) {
            inner.attention(queries, keys, values, heads: heads, causal: causal)
        }
    }

    func activate(_ x: Activation, _ f: Nonlinearity) -> Activation {
        timed("activate") { inner.activate(x, f) }
    }

    func add(_ a: Activation, _ b: Activation) -> Activation {
        timed("add") { inner.add(a, b) }
    }

    func concatChannels(_ a: Activation, _ b: Activation) -> Activation {
        timed("concatenate") { inner.concatChannels(a, b) }
    }

    func upsampleNearest(_ x: Activation, height: Int, width: Int) -> Activation {
        timed("upsample") { inner.upsampleNearest(x, height: height, width: width) }
    }

    func interleave(_ quarter: (Int) -> Activation) -> Activation {
        // The quarters are timed separately.
        inner.interleave(quarter)
    }

    func embed(_ ids: [[Int]], _ table: TableWeights) -> Activation {
        timed("embed") { inner.embed(ids, table) }
    }
}
