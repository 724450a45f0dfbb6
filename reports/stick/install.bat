@echo off
rem Installs the course from this stick, without network. Windows: a double click, or install.bat [FOLDER]
for %%v in (@PYTHONS@) do (
    py -%%v -c "" >nul 2>nul && (
        py -%%v "%~dp0install.py" %*
        goto end
    )
)
python "%~dp0install.py" %*
:end
pause
