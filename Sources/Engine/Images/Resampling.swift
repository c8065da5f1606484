import Foundation

/// One output sample along an axis: a range of input samples, and their weights, which sum to 1.
struct ResamplingTap: Equatable {
    let first: Int
    let weights: [Float]

    var end: Int { first + weights.count }

    /// Lanczos resampling with three lobes, scaled to the coarser of the two grids to avoid aliasing. At the
    /// edges the window is truncated.
    ///
    /// - Parameters:
    ///   - count: number of output samples
    ///   - part: range of the input, in samples; the first sample lies between 0 and 1
    ///   - length: number of input samples
    /// - Returns: one tap per output sample
    static func lanczos(_ count: Int, of part: Range<Double>, length: Int) -> [ResamplingTap] {
        let scale = (part.upperBound - part.lowerBound) / Double(count)
        let width = max(scale, 1)
        return (0..<count).map { i in
            let centre = part.lowerBound + (Double(i) + 0.5) * scale
            let first = max(0, Int((centre - lobes * width + 0.5).rounded(.down)))
            let end = min(length, Int((centre + lobes * width + 0.5).rounded(.down)))
            let raw = (first..<max(end, first + 1)).map {
                window((Double($0) + 0.5 - centre) / width)
            }
            let sum = raw.reduce(0, +)
            return ResamplingTap(
                first: min(first, length - 1),
                weights: raw.map { Float($0 / sum) }
            )
        }
    }

    private static let lobes = 3.0

    private static func window(_ x: Double) -> Double {
        func sinc(_ x: Double) -> Double { x == 0 ? 1 : sin(.pi * x) / (.pi * x) }
        return abs(x) < lobes ? sinc(x) * sinc(x / lobes) : 0
    }
}

/// The crop of a picture, in its own pixels.
package struct PictureFrame: Equatable, Sendable {
    package let rows: Range<Double>
    package let columns: Range<Double>

    package init(rows: Range<Double>, columns: Range<Double>) {
        (self.rows, self.columns) = (rows, columns)
    }

    /// The largest centred crop with the aspect ratio of `target`. If the picture is larger by less than `slack` on
    /// both axes, it is cropped at the edges and not scaled.
    package init(
        ofHeight height: Int,
        width: Int,
        covering target: (height: Int, width: Int),
        slack: Int
    ) {
        let (down, across) = (
            Double(height) / Double(target.height), Double(width) / Double(target.width)
        )
        let isCut =
            (0..<slack).contains(height - target.height)
            && (0..<slack).contains(width - target.width)
        let scale = isCut ? 1 : min(down, across)
        func middle(_ length: Int, _ wanted: Int) -> Range<Double> {
            let part = Double(wanted) * scale
            // Whole pixels if nothing is scaled.
            let before = (Double(length) - part) / 2
            let start = max(0, isCut ? before.rounded(.down) : before)
            return start..<min(Double(length), start + part)
        }
        self.init(rows: middle(height, target.height), columns: middle(width, target.width))
    }
}

/// Scales a picture row by row. Keeps only as many rows in memory as one row of the result needs.
package struct RowScaler {
    private let down: [ResamplingTap]
    private let across: [ResamplingTap]
    private let channels: Int
    /// Ring buffer of horizontally scaled rows: input row y is at y modulo their number.
    private var kept: [Float]
    private let keeps: Int
    private var line: [Float]
    private var next = 0
    private var row = 0

    /// - Parameters:
    ///   - frame: the crop of the input
    ///   - height: rows of the input
    ///   - width: columns of the input
    ///   - size: rows and columns of the result
    ///   - channels: samples per pixel
    package init(
        _ frame: PictureFrame,
        height: Int,
        width: Int,
        to size: (height: Int, width: Int),
        channels: Int
    ) {
        down = ResamplingTap.lanczos(size.height, of: frame.rows, length: height)
        across = ResamplingTap.lanczos(size.width, of: frame.columns, length: width)
        self.channels = channels
        keeps = down.map(\.weights.count).max() ?? 1
        line = Array(repeating: 0, count: size.width * channels)
        kept = Array(repeating: 0, count: keeps * line.count)
    }

    /// Consumes the next row and passes on the rows of the result that it completes.
    package mutating func take(
        _ input: UnsafeBufferPointer<Float>,
        _ body: (UnsafeBufferPointer<Float>) throws -> Void
    ) rethrows {
        defer { row += 1 }
        guard next < down.count, row >= down[next].first else { return }
        scaleAcross(input)
        while next < down.count, down[next].end == row + 1 {
            sumDown(down[next])
            next += 1
            try line.withUnsafeBufferPointer(body)
        }
    }

    private mutating func scaleAcross(_ input: UnsafeBufferPointer<Float>) {
        let (channels, across, start) = (channels, across, row % keeps * line.count)
        kept.withUnsafeMutableBufferPointer { kept in
            for (i, tap) in across.enumerated() {
                let (to, from) = (start + i * channels, tap.first * channels)
                for c in 0..<channels { kept[to + c] = 0 }
                tap.weights.withUnsafeBufferPointer { weights in
                    for k in weights.indices {
                        for c in 0..<channels {
                            kept[to + c] += weights[k] * input[from + k * channels + c]
                        }
                    }
                }
            }
        }
    }

    private mutating func sumDown(_ tap: ResamplingTap) {
        let (keeps, count) = (keeps, line.count)
        line.withUnsafeMutableBufferPointer { line in
            line.update(repeating: 0)
            kept.withUnsafeBufferPointer { kept in
                for (k, weight) in tap.weights.enumerated() {
                    let from = (tap.first + k) % keeps * count
                    for i in 0..<count { line[i] += weight * kept[from + i] }
                }
            }
        }
    }
}

extension Tensor {
    /// A picture or latent `[1, height, width, channels]`, resampled to another size with the Lanczos window.
    package func resampled(height: Int, width: Int) -> Tensor {
        precondition(shape.count == 4 && shape[0] == 1, "\(shape)")
        let (rows, columns, channels) = (shape[1], shape[2], shape[3])
        var scaler = RowScaler(
            PictureFrame(rows: 0..<Double(rows), columns: 0..<Double(columns)),
            height: rows,
            width: columns,
            to: (height, width),
            channels: channels
        )
        return Tensor(shape: [1, height, width, channels]) { out in
            var at = 0
            withFloats { x in
                let line = columns * channels
                for row in 0..<rows {
                    let from = UnsafeBufferPointer(rebasing: x[row * line..<(row + 1) * line])
                    scaler.take(from) { done in
                        let to = UnsafeMutableBufferPointer(rebasing: out[at..<at + done.count])
                        _ = to.update(fromContentsOf: done)
                        at += done.count
                    }
                }
            }
            precondition(at == out.count, "\(at) of \(out.count)")
        }
    }
}
