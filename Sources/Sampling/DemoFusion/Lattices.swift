import Engine

/// The dilated sub-lattices of one phase: every s-th sample along both axes, for each of the s×s starting points
/// (DemoFusion §3.4, "dilated sampling").
package struct LatticeGrid: Equatable, Sendable {
    package let latent: Extent
    package let rowStride: Int
    package let columnStride: Int
    /// Zero padding above and to the left that makes both sides multiples of the stride (`Border.zeros`).
    package let padTop: Int
    package let padLeft: Int

    package init(latent: Extent, dilation: Int, border: Border) {
        precondition(dilation > 0, "dilation \(dilation)")
        self.latent = latent
        switch border {
        case .zeros:
            (rowStride, columnStride) = (dilation, dilation)
            padTop = (dilation - latent.height % dilation) % dilation
            padLeft = (dilation - latent.width % dilation) % dilation
        case .inside:
            // Lattices may differ in size, but each contains at least one sample.
            (rowStride, columnStride) = (min(dilation, latent.height), min(dilation, latent.width))
            (padTop, padLeft) = (0, 0)
        }
    }

    package var count: Int { rowStride * columnStride }

    /// Size of the latent including its margin.
    package var padded: Extent {
        Extent(height: latent.height + padTop, width: latent.width + padLeft)
    }

    /// The starting point of lattice `index` in the padded latent.
    package func origin(of index: Int) -> (row: Int, column: Int) {
        let (row, column) = index.quotientAndRemainder(dividingBy: columnStride)
        return (row, column)
    }

    /// Size of lattice `index`; lattices are in row-major order of starting points.
    package func extent(_ index: Int) -> Extent {
        let (row, column) = index.quotientAndRemainder(dividingBy: columnStride)
        return Extent(
            height: (padded.height - row + rowStride - 1) / rowStride,
            width: (padded.width - column + columnStride - 1) / columnStride
        )
    }

    /// Zero-pads a latent, `[1, height, width, channels]`.
    package func pad(_ latent: Tensor) -> Tensor {
        padTop == 0 && padLeft == 0
            ? latent : latent.padded(top: padTop, left: padLeft, bottom: 0, right: 0)
    }

    /// Extracts lattice `index` of a padded latent, `[1, height / s, width / s, channels]`.
    package func view(_ index: Int, of padded: Tensor) -> Tensor {
        let (row, column) = index.quotientAndRemainder(dividingBy: columnStride)
        let (width, channels) = (padded.shape[2], padded.shape[3])
        let size = extent(index)
        return Tensor(shape: [1, size.height, size.width, channels]) { out in
            padded.withFloats { x in
                var to = 0
                for y in 0..<size.height {
                    for column in stride(from: column, to: width, by: columnStride) {
                        let from = ((row + y * rowStride) * width + column) * channels
                        for c in 0..<channels { out[to + c] = x[from + c] }
                        to += channels
                    }
                }
            }
        }
    }

    /// Writes lattice `index` back to its positions in an unpadded latent.
    package func scatter(_ index: Int, _ view: Tensor, into latent: inout Tensor) {
        let size = extent(index)
        let channels = view.shape[3]
        precondition(view.shape == [1, size.height, size.width, channels], "\(view.shape)")
        let (row, column) = index.quotientAndRemainder(dividingBy: columnStride)
        latent.withMutableFloats { out in
            view.withFloats { x in
                for y in 0..<size.height {
                    let toRow = row + y * rowStride - padTop
                    guard toRow >= 0 else { continue }
                    for i in 0..<size.width {
                        let toColumn = column + i * columnStride - padLeft
                        guard toColumn >= 0 else { continue }
                        let to = (toRow * self.latent.width + toColumn) * channels
                        let from = (y * size.width + i) * channels
                        for c in 0..<channels { out[to + c] = x[from + c] }
                    }
                }
            }
        }
    }
}
