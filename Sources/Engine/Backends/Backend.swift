/// The operations that networks are built from.
///
/// This is the only boundary between the architectures in `Models` and the arithmetic: a backend owns the memory of
/// its activations and keeps the weights in whatever form suits it. Pictures are `[batch, height, width, channels]`,
/// token sequences `[batch, tokens, width]`, vectors `[batch, width]`; the first axis is always the batch, and a row's
/// result does not depend on the other rows of the batch. Optional arguments fuse the operation that commonly follows.
/// Used by one thread at a time.
///
/// Mismatched shapes are programming errors: files are checked before they get here, so operations trap with the shapes
/// in the message instead of throwing.
package protocol Backend: AnyObject {
    /// Runs one evaluation of a network; the order of its operations depends on `shape` alone. Its activations are
    /// freed when it returns. After the first evaluation of a shape, no memory is allocated.
    ///
    /// - Throws: whatever `body` throws, and `DeviceError` if an operation failed
    func evaluating<T>(_ shape: [Int], _ body: () throws -> T) throws -> T
    /// Runs `body`, whose activations may outlive the evaluation.
    func persistent<T>(_ body: () -> T) -> T
    /// Runs operations whose activations may be kept. Unlike in `evaluating`, they may come in any order.
    ///
    /// - Throws: whatever `body` throws, and `DeviceError` if an operation failed
    func checking<T>(_ body: () throws -> T) throws -> T
    /// Whether operations are only enqueued, so that a device computes them while this thread does other work.
    /// Activations from `checking` may then be used in a later call.
    var isAsynchronous: Bool { get }
    /// Throws the error of an operation that failed outside an evaluation. Operations on a device can fail at any time;
    /// they, and all later ones until the error has been thrown, return activations without content.
    ///
    /// - Throws: `DeviceError`
    func check() throws

    /// Returns memory that is kept for later activations to the system.
    func releaseFreeMemory()

    /// Bytes per element of an activation.
    var elementBytes: Int { get }
    /// Calls `body` with the bytes of an activation, whatever their layout, piece by piece, each with its offset.
    func read<Failure: Error>(
        _ activation: Activation,
        _ body: (UnsafeRawBufferPointer, Int) throws(Failure) -> Void
    ) throws(Failure)
    /// Lets `body` write all bytes of an activation, in the same pieces as `read`.
    func write<Failure: Error>(
        _ activation: Activation,
        _ body: (UnsafeMutableRawBufferPointer, Int) throws(Failure) -> Void
    ) throws(Failure)
    /// Allocates an uninitialised activation.
    func blank(_ shape: [Int]) -> Activation
    /// Memory of the device that holds the activations; nil for the processor, or if unknown.
    var deviceMemory: DeviceMemory? { get }

    /// Copies a tensor to the backend's memory.
    func upload(_ tensor: Tensor) -> Activation
    /// Copies an activation back to host memory.
    func download(_ activation: Activation) -> Tensor

    /// Whether the backend itself converts weights from the element type in the checkpoint.
    var readsStoredWeights: Bool { get }
    /// Whether layer weights are already prepared, so that `read` is never called.
    var isFilled: Bool { get }
    /// Stores a matrix `[outputs, inputs]` and, if `hasBias`, a bias `[outputs]`.
    ///
    /// - Throws: whatever `read` throws, and errors of files that hold prepared weights
    func prepareLinear(
        inputs: Int,
        outputs: Int,
        hasBias: Bool,
        _ read: () throws -> Parameters
    ) throws -> LinearWeights
    /// Stores convolution weights `[outputs, inputs, kernel, kernel]` and their bias `[outputs]`, for
    /// a stride of `stride` pixels.
    ///
    /// - Throws: whatever `read` throws, and errors of files that hold prepared weights
    func prepareConv(
        inputs: Int,
        outputs: Int,
        kernel: Int,
        stride: Int,
        _ read: () throws -> Parameters
    ) throws -> ConvWeights
    /// Stores the scale and shift of a normalisation, each `[channels]`.
    func prepareNorm(scale: Tensor, shift: Tensor) -> NormWeights
    /// Stores an embedding table `[rows, width]` for `embed`.
    func prepareTable(_ table: Tensor) -> TableWeights

    /// Computes `f(x · Wᵀ + b)` along the last axis, then adds or multiplies the operand.
    func linear(
        _ x: Activation,
        _ weights: LinearWeights,
        then f: Nonlinearity,
        with second: Operand?
    ) -> Activation
    /// Number of adjacent outputs in each panel of a gated layer with `outputs` outputs, for `gated`.
    func panelOfGates(outputs: Int) -> Int
    /// Computes `value(x) · gelu(gate(x))` for each panel and concatenates the results: GEGLU (Shazeer 2020).
    func gated(_ x: Activation, _ panels: [GatedWeights]) -> Activation
    /// Convolution with zero padding, plus `residual`.
    func conv2d(
        _ x: Activation,
        _ weights: ConvWeights,
        padding: Padding,
        residual: Activation?
    ) -> Activation
    /// Adds `channelBias`, `[batch, channels]`, to every pixel, normalises each group of channels of each picture, then
    /// applies `f`. If `overwriting`, the result replaces `x` in memory, and `x` must not be used again.
    func groupNorm(
        _ x: Activation,
        _ weights: NormWeights,
        groups: Int,
        epsilon: Float,
        plus channelBias: Activation?,
        then f: Nonlinearity,
        overwriting: Bool
    ) -> Activation
    /// Mean and variance of each group of channels of one picture, over all its pixels or those in `region`.
    func moments(_ x: Activation, groups: Int, of region: Region?) -> [Moments]
    /// Normalises each group of channels by the given moments, then applies `f`; `overwriting` as in `groupNorm`.
    func normalise(
        _ x: Activation,
        _ weights: NormWeights,
        epsilon: Float,
        by statistics: [Moments],
        then f: Nonlinearity,
        overwriting: Bool
    ) -> Activation
    /// Selects rows and columns of one picture, in ascending order.
    func pick(_ x: Activation, rows: [Int], columns: [Int]) -> Activation
    /// Normalises the last axis.
    func layerNorm(_ x: Activation, _ weights: NormWeights, epsilon: Float) -> Activation
    /// Scaled dot-product attention of `[batch, tokens, heads · width]`; if `causal`, a token sees
    /// only itself and earlier tokens.
    func attention(
        _ queries: Columns,
        _ keys: Columns,
        _ values: Columns,
        heads: Int,
        causal: Bool
    ) -> Activation

    /// Applies `f` to every element.
    func activate(_ x: Activation, _ f: Nonlinearity) -> Activation
    /// Adds two activations of the same shape.
    func add(_ a: Activation, _ b: Activation) -> Activation
    /// Concatenates the channels of `a` and `b`.
    func concatChannels(_ a: Activation, _ b: Activation) -> Activation
    /// Repeats every pixel 2 × 2 times, then crops to `height` × `width`.
    func upsampleNearest(_ x: Activation, height: Int, width: Int) -> Activation
    /// Interleaves four pictures of the same shape into one of twice the height and width: pixel (y, x) of the result
    /// is pixel (y/2, x/2) of picture number 2·(y mod 2) + x mod 2. `quarter` makes one picture at a time.
    func interleave(_ quarter: (Int) -> Activation) -> Activation
    /// Looks up the rows `ids` of a table: `[batch, tokens]` to `[batch, tokens, width]`.
    func embed(_ ids: [[Int]], _ table: TableWeights) -> Activation
}

extension Backend {
    /// Arithmetic on the processor cannot fail.
    package func check() throws {}

    package func checking<T>(_ body: () throws -> T) throws -> T { try body() }

    package var isAsynchronous: Bool { false }

    package var deviceMemory: DeviceMemory? { nil }

    package var readsStoredWeights: Bool { false }
}

/// A tensor in a backend's memory, in whatever precision and layout the backend chose.
package struct Activation {
    /// Size of each axis, in the layouts of `Backend`.
    package let shape: [Int]
    /// The backend's own data; released with the last copy of the handle.
    package let storage: AnyObject

    /// The same elements with another shape; the first axis must keep its size.
    package func viewed(as other: [Int]) -> Activation {
        precondition(
            shape.reduce(1, *) == other.reduce(1, *) && shape.first == other.first,
            "\(shape) as \(other)"
        )
        return Activation(shape: other, storage: storage)
    }

    /// All columns of the last axis.
    package var columns: Columns { Columns(of: self, from: 0, count: shape[shape.count - 1]) }

    /// The columns `from ..< from + count` of the last axis.
    package func columns(from: Int, count: Int) -> Columns {
        Columns(of: self, from: from, count: count)
    }
}

/// A range of columns of the last axis of an activation. One matrix product computes queries, keys and values side by
/// side, and attention reads them in place.
package struct Columns {
    /// The activation that contains the columns.
    package let activation: Activation
    /// The first column.
    package let from: Int
    /// Number of columns.
    package let count: Int

    /// The columns `from ..< from + count`, which must exist.
    package init(of activation: Activation, from: Int, count: Int) {
        precondition(
            from >= 0 && from + count <= activation.shape[activation.shape.count - 1],
            "columns \(from) + \(count) of \(activation.shape)"
        )
        self.activation = activation
        self.from = from
        self.count = count
    }
}

/// A second operand of the result's shape, combined with the result element by element.
package enum Operand {
    case plus(Activation)
    case times(Activation)

    var activation: Activation {
        switch self {
        case .plus(let other), .times(let other): other
        }
    }

    func check(shape: [Int]) {
        precondition(activation.shape == shape, "\(activation.shape) vs \(shape)")
    }
}

extension Operand? {
    /// The code that the C kernels use.
    var kind: Int32 {
        switch self {
        case nil: 0
        case .plus: 1
        case .times: 2
        }
    }
}

/// Elementwise functions. The raw values are those of `CKernels.h`.
package enum Nonlinearity: Int32 {
    /// x
    case identity = 0
    /// x / (1 + e^−x)
    case silu = 1
    /// x · Φ(x), with the error function
    case gelu = 2
    /// x / (1 + e^−1.702x)
    case quickGelu = 3
}

/// Zero padding around a picture.
package struct Padding: Hashable {
    package let top: Int, left: Int, bottom: Int, right: Int

    /// Padding on each side, in pixels.
    package init(top: Int, left: Int, bottom: Int, right: Int) {
        (self.top, self.left, self.bottom, self.right) = (top, left, bottom, right)
    }

    /// The same padding on every side.
    package static func all(_ n: Int) -> Padding { Padding(top: n, left: n, bottom: n, right: n) }
    /// One row at the bottom and one column on the right, as in AutoencoderKL's downsamplers.
    package static let bottomRight = Padding(top: 0, left: 0, bottom: 1, right: 1)
}

/// The weights of a layer as the checkpoint has them.
package struct Parameters {
    /// Pieces along the first axis as stored in their files; empty if the weight was computed or the backend
    /// does not read stored weights.
    let stored: [StoredWeight]
    private let computed: Tensor?
    private let shape: [Int]
    let bias: Tensor?

    /// - Parameters:
    ///   - weight: `[outputs, inputs]`, or `[outputs, inputs, kernel, kernel]`
    ///   - bias: `[outputs]`
    package init(_ weight: Tensor, bias: Tensor? = nil) {
        (stored, computed, shape, self.bias) = ([], weight, weight.shape, bias)
    }

    /// - Parameters:
    ///   - stored: at least one piece
    ///   - shape: shape of all pieces together, as above
    ///   - bias: `[outputs]`
    package init(stored: [StoredWeight], shape: [Int], bias: Tensor?) {
        precondition(
            !stored.isEmpty && stored.reduce(0) { $0 + $1.count } == shape.reduce(1, *),
            "\(stored.map(\.count)) as \(shape)"
        )
        (self.stored, computed, self.shape, self.bias) = (stored, nil, shape, bias)
    }

    /// The weight in float32.
    var weight: Tensor {
        if let computed { return computed }
        let pieces = stored.map(\.tensor)
        return pieces.count == 1
            ? pieces[0].reshaped(shape) : Tensor(chaining: pieces, shape: shape)
    }

    /// The parameters of a range of adjacent outputs.
    package func rows(_ range: Range<Int>) -> Parameters {
        let bias = bias?.rows(range)
        let row = shape.dropFirst().reduce(1, *)
        if stored.count == 1,
            let part = stored[0].elements(range.lowerBound * row..<range.upperBound * row)
        {
            return Parameters(
                stored: [part],
                shape: [range.count] + shape.dropFirst(),
                bias: bias
            )
        }
        return Parameters(weight.rows(range), bias: bias)
    }
}

/// A matrix that a backend has stored.
package struct LinearWeights {
    package let inputs: Int, outputs: Int
    /// The backend's own data.
    package let storage: AnyObject
}

/// Convolution weights that a backend has stored.
package struct ConvWeights {
    package let inputs: Int, outputs: Int
    /// Side of the kernel and stride, in pixels.
    package let kernel: Int, stride: Int
    /// The backend's own data.
    package let storage: AnyObject

    /// Output shape for pictures of shape `[batch, height, width, inputs]`.
    func result(of shape: [Int], padding: Padding) -> [Int] {
        precondition(shape.count == 4 && shape[3] == inputs, "\(shape) by \(self)")
        return [
            shape[0],
            (shape[1] + padding.top + padding.bottom - kernel) / stride + 1,
            (shape[2] + padding.left + padding.right - kernel) / stride + 1,
            outputs,
        ]
    }
}

/// Scale and shift of a normalisation that a backend has stored.
package struct NormWeights {
    package let channels: Int
    /// The backend's own data.
    package let storage: AnyObject
}

/// An embedding table that a backend has stored.
package struct TableWeights {
    package let rows: Int, width: Int
    /// The backend's own data.
    package let storage: AnyObject
}
