import Engine
import Sampling
import Testing

@Suite struct LatticeGridTests {
    @Test(arguments: Border.allCases, [(12, 18, 3), (13, 8, 2), (5, 31, 4), (2, 9, 4)])
    func scatteredViewsRestoreTheLatent(border: Border, shape: (Int, Int, Int)) {
        let (height, width, dilation) = shape
        let grid = LatticeGrid(
            latent: Extent(height: height, width: width),
            dilation: dilation,
            border: border
        )
        let values = (0..<(height * width * 4)).map { Float($0 + 1) }
        let latent = Tensor(values, shape: [1, height, width, 4])
        var again = Tensor(zeros: latent.shape)
        let padded = grid.pad(latent)
        for index in 0..<grid.count {
            let view = grid.view(index, of: padded)
            let extent = grid.extent(index)
            #expect(view.shape == [1, extent.height, extent.width, 4])
            #expect(view.count > 0)
            grid.scatter(index, view, into: &again)
        }
        #expect(again.values == latent.values)
    }

    @Test func zerosLieAboveAndToTheLeft() {
        let grid = LatticeGrid(
            latent: Extent(height: 4, width: 5),
            dilation: 3,
            border: .zeros
        )
        let padded = grid.pad(Tensor([Float](repeating: 1, count: 20), shape: [1, 4, 5, 1]))
        #expect(padded.shape == [1, 6, 6, 1])
        let first = grid.view(0, of: padded)
        #expect(first.values == [0, 0, 0, 1])
    }
}
