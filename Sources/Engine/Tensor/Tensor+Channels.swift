extension Tensor {
    /// Concatenates the channels of two pictures.
    ///
    /// - Parameters:
    ///   - first: `[1, height, width, channels]`
    ///   - second: of the same height and width
    package init(channelsOf first: Tensor, and second: Tensor) {
        let (a, b) = (first.shape[3], second.shape[3])
        precondition(
            first.shape.dropLast() == second.shape.dropLast(),
            "\(first.shape), \(second.shape)"
        )
        self.init(shape: first.shape.dropLast() + [a + b]) { out in
            first.withFloats { x in
                second.withFloats { y in
                    for pixel in 0..<x.count / a {
                        let to = pixel * (a + b)
                        for c in 0..<a { out[to + c] = x[pixel * a + c] }
                        for c in 0..<b { out[to + a + c] = y[pixel * b + c] }
                    }
                }
            }
        }
    }

    /// The same tensor with zeros in its last channels.
    ///
    /// - Parameter count: number of channels to clear
    /// - Returns: a tensor of the same shape
    package func clearingLastChannels(_ count: Int) -> Tensor {
        let channels = shape[shape.count - 1]
        return Tensor(shape: shape) { out in
            withFloats { x in
                for i in out.indices { out[i] = i % channels < channels - count ? x[i] : 0 }
            }
        }
    }
}
