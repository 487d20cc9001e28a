import io

import numpy as np
import pytest

from jssl.run.gallery import main


def test_the_gallery_writes_a_picture(tmp_path, capsys):
    Image = pytest.importorskip("PIL.Image")
    out = tmp_path / "views.png"
    main(["mae", "--data", "digits", "--images", "3", "--out", str(out)])
    assert "mae on 3 images of digits" in capsys.readouterr().out
    assert np.asarray(Image.open(io.BytesIO(out.read_bytes()))).std() > 20
    main(["mae", "--images", "1", "--out", str(tmp_path / "views.svg")])
    assert "</svg>" in (tmp_path / "views.svg").read_text()


def test_data_that_cannot_be_loaded_costs_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["mae", "--data", "nothing", "--out", str(tmp_path / "views.png")])
    assert end.value.code == 2 and "unknown data 'nothing'" in capsys.readouterr().err
    assert not (tmp_path / "views.png").exists()
